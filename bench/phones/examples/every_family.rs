//! Every family in every format of phones: `every_family DIR [GENOMES] [FAMILY...]` converts the smallest published network
//! of each family, or of those named, and so many random genomes at 64 px, and compares. Weights are made by a formula;
//! under those some networks turn rounding into large differences, and get random weights and batch norms to match. What
//! is done stays in DIR, so the same command goes on; what failed is tried again. At the end it prints the table of
//! `docs/export.md`. It takes hours on one core.

#[path = "../../../space/torch/tests/steady/mod.rs"]
mod steady;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use mobilenas_phones::PYTHON;
use mobilenas_pytorch::source;
use mobilenas_space::families::{self, FAMILIES, Family};
use mobilenas_space::ir::Graph;
use mobilenas_space::{Space, SpaceConfig};
use mobilenas_torch::{Formula, weights};
use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;
use serde_json::{Value, json};

const FORMATS: [(&str, &str); 3] = [("coreml", "mlpackage"), ("executorch", "pte"), ("litert", "tflite")];

type Done<T> = Result<T, Box<dyn Error>>;

fn main() -> Done<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (folder, rest) = words.split_first().ok_or("expected a folder")?;
    let (genomes, names) = rest.split_first().map_or((0, rest), |(n, names)| (n.parse().unwrap_or(0), names));
    let wanted = |f: &&&dyn Family| names.is_empty() || names.iter().any(|n| n == f.name());
    let root = Path::new(folder);
    let mut networks = Vec::new();
    for family in FAMILIES.iter().filter(wanted) {
        let id = smallest(*family)?;
        networks.push((id.to_string(), *family, families::plan(id, None, 1000)?.lower()?));
        let knobs = BTreeMap::from([("resolution".to_string(), vec![64])]);
        let design = SpaceConfig { family: family.name().into(), width: 1.0, divisor: 8, knobs, classes: 10 };
        let Ok(space) = Space::new(&design) else { continue };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for k in 1..=genomes {
            let graph = space.lower(&space.sample(&mut rng))?;
            networks.push((format!("{}_random_{k}", family.name()), *family, graph));
        }
    }
    for (name, family, graph) in &networks {
        write(root, name, *family, graph).map_err(|e| format!("{name}: {e}"))?;
    }
    let python = std::env::var_os(PYTHON).ok_or("MOBILENAS_PHONES_PYTHON is not set")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/every_family.py");
    let all = networks.iter().flat_map(|(name, ..)| FORMATS.map(|(format, _)| root.join(format!("{name}.{format}"))));
    let status = Command::new(python).arg("-B").arg(script).args(all).env_remove("LD_LIBRARY_PATH").status()?;
    println!("| network | highest rank | Core ML, float32 | ExecuTorch | LiteRT |\n|---|---:|---:|---:|---:|");
    for (name, ..) in &networks {
        let reports = FORMATS.map(|(format, _)| report(&root.join(format!("{name}.{format}"))));
        let rank = reports.iter().flatten().filter_map(|r| r["highest_rank"].as_u64()).max();
        let cells = reports.iter().map(|r| match r {
            Some(r) => format!("{:.1e}", r["comparison"]["difference"].as_f64().unwrap_or(f64::NAN)),
            None => "failed".to_string(),
        });
        let rank = rank.map_or("-".to_string(), |r| r.to_string());
        println!("| {name} | {rank} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    if status.success() { Ok(()) } else { Err("some conversions failed: their folders have error.txt".into()) }
}

/// The variant with the fewest parameters.
fn smallest(family: &dyn Family) -> Done<&'static str> {
    let mut all = Vec::new();
    for variant in family.variants() {
        let graph = families::plan(variant.id, None, 1000)?.lower()?;
        all.push((graph.params().iter().map(|p| p.elements()).sum::<u64>(), variant.id));
    }
    Ok(all.into_iter().min().ok_or("no variant")?.1)
}

fn report(folder: &Path) -> Option<Value> {
    serde_json::from_str(&fs::read_to_string(folder.join("report.json")).ok()?).ok()
}

/// A folder for each format that has no report yet: source, weights and job, as `weights export` makes them.
fn write(root: &Path, name: &str, family: &dyn Family, graph: &Graph) -> Done<()> {
    let left = FORMATS.iter().map(|(f, e)| (root.join(format!("{name}.{f}")), f, e));
    let left: Vec<_> = left.filter(|(folder, ..)| report(folder).is_none()).collect();
    if left.is_empty() {
        return Ok(());
    }
    let net = steady::network(&Arc::new(graph.clone()), &Formula { gain: family.formula_gain() })?.freeze()?;
    let (text, how) = (source(net.graph(), name)?, family.preprocessing());
    let (h, w) = net.graph().input().hw().ok_or("no image")?;
    for (folder, format, ending) in left {
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(format!("{name}.py")), &text)?;
        weights::save(&folder.join(format!("{name}.safetensors")), &net.named(), &BTreeMap::new())?;
        let job = json!({
            "format": format, "name": name, "title": name, "about": {}, "file": format!("made.{ending}"),
            "side": [h, w], "classes": net.graph().output_value().channels(), "mean": how.mean, "std": how.std,
            "float16": false, "image": false,
        });
        fs::write(folder.join("job.json"), job.to_string())?;
    }
    Ok(())
}
