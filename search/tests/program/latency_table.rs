//! The real program on a small space: a table is built, also in two goes; damaged and foreign ones are refused; a search
//! takes its latencies from one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::OnceLock;
use std::time::Instant;

use mobilenas_bench::latency_table::row::Subset;
use mobilenas_bench::latency_table::{LatencyCoster, Table};
use mobilenas_pipeline::config;
use mobilenas_record::latency_table::Pair;
use mobilenas_space::{CostCache, Space, latency_key};
use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{kill_at, program_with_data, ran};

/// 64 networks of few and small blocks.
pub(super) const SPACE: &str = "\
seed: 5
space:
  family: mobilevit_v1
  scale: {width: 0.25, divisor: 8}
  knobs:
    resolution: [16, 24]
    stem.width: [8]
    stem.stride: [2]
    stages.0.width: [8]
    stages.0.stride: [1]
    stages.0.expand: [2]
    stages.1.width: [8]
    stages.1.depth: [1, 2]
    stages.1.stride: [2]
    stages.1.expand: [2]
    stages.2.width: [16]
    stages.2.expand: [2]
    stages.2.stride: [2]
    stages.2.dim: [16, 24]
    stages.2.depth: [1, 2]
    stages.2.heads: [4]
    stages.2.mlp: [2]
    stages.2.patch: [1]
    stages.3.width: [16]
    stages.3.stride: [1]
    stages.3.expand: [2]
    stages.3.dim: [24]
    stages.3.depth: [1, 4]
    stages.3.heads: [4]
    stages.3.mlp: [2]
    stages.3.patch: [1]
    stages.4.width: [24]
    stages.4.stride: [1]
    stages.4.expand: [2]
    stages.4.dim: [24]
    stages.4.depth: [1, 3]
    stages.4.heads: [4]
    stages.4.mlp: [2]
    stages.4.patch: [1]
    head.width: [80]
data: {name: fashion-mnist, search_val: 500, train_limit: 1500, test_limit: 500}
supernet: {epochs: 0.2, batch: 64, warmup: 0.1}
scoring: {recalibrate: 256, batch: 250}
retrain: {best: 0, epochs: 0.2, batch: 64, warmup: 0.1}
search:
  strategy: {random: {}}
  trials: 6
  objectives: [{metric: top1, goal: maximize}, {metric: mes, goal: maximize}]
";

const BUILD: &[&str] =
    &["latency-table", "build", "c.yaml", "--rounds", "3", "--passes", "1", "--fit", "6", "--validate", "8"];

pub(super) fn run(dir: &Path, args: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } = ran(program_with_data(dir).args(args));
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    (status.code().unwrap(), said)
}

pub(super) fn folder() -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("c.yaml"), SPACE).unwrap();
    dir
}

/// A table, built once.
fn built() -> &'static Path {
    static DIR: OnceLock<TempDir> = OnceLock::new();
    let dir = DIR.get_or_init(|| {
        let dir = folder();
        let (code, said) = run(dir.path(), &[BUILD, &["--out", "t.jsonl"]].concat());
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("Kendall's tau"), "{said}");
        dir
    });
    Box::leak(dir.path().join("t.jsonl").into_boxed_path())
}

pub(super) fn space(dir: &Path) -> Space {
    let loaded = config::load(&dir.join("c.yaml")).unwrap();
    loaded.space(&loaded.entry(None).unwrap(), 10).unwrap()
}

fn every_genome(space: &Space) -> Vec<mobilenas_space::Genome> {
    let counts = space.domain().counts();
    let of = |mut n: u64| {
        let choices: Vec<u8> = counts
            .iter()
            .map(|c| {
                let choice = (n % u64::from(*c)) as u8;
                n /= u64::from(*c);
                choice
            })
            .collect();
        space.domain().genome(choices).unwrap()
    };
    (0..space.size() as u64).map(of).collect()
}

#[test]
fn a_table_holds_every_block_and_its_own_validation() {
    let table = Table::load(built()).unwrap();
    let dir = folder();
    let space = space(dir.path());
    assert!(table.header.whole);
    assert_eq!(table.header.blocks, table.blocks.len());
    assert_eq!((table.header.engine.name.as_str(), table.header.engine.threads), ("libtorch", 1));
    let (mut pricer, mut coster) = (LatencyCoster::new(&table), CostCache::new());
    let line = table.line();
    for genome in every_genome(&space) {
        let graph = space.lower(&genome).unwrap();
        let keys: Vec<String> = latency_key::blocks(&graph).iter().map(latency_key::key).collect();
        let sum: f64 = keys.iter().map(|k| table.time(k).unwrap()).sum();
        let priced = pricer.price(&space.plan(&genome).unwrap()).unwrap();
        assert_eq!(priced.cost, space.cost(&genome, &mut coster).unwrap());
        assert!((priced.latency_ms - line.at(sum)).abs() < 1e-9);
        assert!((table.latency(&graph).unwrap() - priced.latency_ms).abs() < 1e-9);
    }
    let v = table.validation.as_ref().unwrap();
    assert_eq!((v.fit_nets, v.nets), (6, 8));
    // Judged on networks that it was not fitted on.
    let of = |set: Subset| table.nets.iter().filter(move |n| n.set == set);
    assert_eq!((of(Subset::Fit).count(), of(Subset::Validation).count()), (6, 8));
    assert!(of(Subset::Fit).all(|a| of(Subset::Validation).all(|b| a.blocks != b.blocks)));
    assert!(table.blocks.iter().all(|b| b.count == 3 && b.spread.is_some_and(|s| s >= 0.0)));
    assert!(table.blocks.iter().all(|b| b.again.is_some_and(|r| r > 0.0)));
    let reference = table.reference.as_ref().unwrap();
    assert_eq!((reference.model.as_str(), reference.resolution), ("mobilenetv2_100", 224));
    let (code, said) = run(dir.path(), &["latency-table", "show", built().to_str().unwrap()]);
    assert_eq!(code, 0);
    assert!(said.contains(&table.digest) && said.contains("MAPE"), "{said}");
    let (code, said) = run(dir.path(), &["latency-table", "show", built().to_str().unwrap(), "--out", "plots"]);
    assert_eq!(code, 0, "{said}");
    let svg = fs::read_to_string(dir.path().join("plots/latency_table.svg")).unwrap();
    assert!(svg.contains("Measured median latency (ms)"));
    assert!(dir.path().join("plots/latency_table.png").exists());
}

#[test]
fn what_is_said_of_a_table_has_no_gaps() {
    let mut table = Table::load(built()).unwrap();
    table.validation.as_mut().unwrap().tau = Some(0.5);
    for text in [table.in_words(), table.warning().unwrap()] {
        assert!(!text.contains("  "), "{text}");
    }
    table.validation = None;
    for text in [table.in_words(), table.warning().unwrap()] {
        assert!(!text.contains("  "), "{text}");
    }
}

#[test]
fn killed_and_started_again_it_goes_on() {
    let dir = folder();
    let part = dir.path().join("t.jsonl.part");
    let args = [BUILD, &["--out", "t.jsonl", "--rounds", "40"]].concat();
    let args: Vec<&str> = args.iter().enumerate().filter(|(i, _)| !(3..5).contains(i)).map(|(_, a)| *a).collect();
    let mut build = program_with_data(dir.path());
    build.args(&args);
    kill_at(build, || fs::read_to_string(&part).unwrap_or_default().lines().count() >= 2);
    // As if the kill had come in the middle of a line.
    let mut text = fs::read_to_string(&part).unwrap();
    // The kill may have come in the middle of a line, too.
    text.truncate(text.rfind('\n').unwrap() + 1);
    let kept: Vec<String> = text.lines().map(ToString::to_string).collect();
    text.push_str("{\"block\":{\"ke");
    fs::write(&part, text).unwrap();
    // Another table is not mixed into it.
    let other: Vec<&str> = args.iter().map(|a| if *a == "40" { "41" } else { a }).collect();
    let (code, said) = run(dir.path(), &other);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("a table of another protocol"), "{said}");
    let (code, said) = run(dir.path(), &args);
    assert_eq!(code, 0, "{said}");
    assert!(!part.exists());
    let whole = fs::read_to_string(dir.path().join("t.jsonl")).unwrap();
    assert!(whole.lines().zip(&kept).all(|(a, b)| a == b), "what was timed is not timed again");
    let table = Table::load(&dir.path().join("t.jsonl")).unwrap();
    assert_eq!(table.blocks.len(), table.header.blocks);
    let (code, said) = run(dir.path(), &args);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("exists, expected a new file"), "{said}");
}

fn with_table(dir: &Path, more: &str) -> PathBuf {
    let path = dir.join("search.yaml");
    fs::write(&path, format!("{SPACE}latency: {{source: table, table: t.jsonl{more}}}\n")).unwrap();
    path
}

#[test]
fn a_search_takes_its_latencies_from_a_table() {
    let dir = folder();
    fs::copy(built(), dir.path().join("t.jsonl")).unwrap();
    with_table(dir.path(), "");
    let (code, said) = run(dir.path(), &["search", "search.yaml", "--out", "run"]);
    assert_eq!(code, 0, "{said}");
    let table = Table::load(built()).unwrap();
    let text = fs::read_to_string(dir.path().join("run/journal.jsonl")).unwrap();
    let rows: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let used = &rows[0]["run"]["engine"]["table"];
    assert_eq!(used["digest"], table.digest.as_str());
    assert_eq!(used["source"], "table");
    let judged = rows.iter().find(|r| r.get("latency_table").is_some()).unwrap();
    let pairs: Vec<Pair> = serde_json::from_value(judged["latency_table"]["pairs"].clone()).unwrap();
    let (fit, own) = (mobilenas_record::latency_table::fit(&pairs).unwrap(), table.validation.as_ref().unwrap());
    assert_eq!(fit.nets, own.nets);
    assert!((fit.mape - own.mape).abs() < 1e-9, "{fit:?} {own:?}");
    let unit = rows.iter().find(|r| r.get("unit").is_some()).unwrap();
    let reference = &table.reference.as_ref().unwrap().latency;
    assert_eq!(unit["unit"]["latency"]["median_ms"].as_f64(), Some(reference.median_ms));
    let space = space(dir.path());
    let trials: Vec<&Value> = rows.iter().filter(|r| r.get("trial").is_some()).map(|r| &r["trial"]).collect();
    assert_eq!(trials.iter().filter(|t| t["origin"] == "search").count(), 6);
    for trial in trials {
        let genome = space.genome(&serde_json::from_value(trial["genome"].clone()).unwrap()).unwrap();
        let latency = table.latency(&space.lower(&genome).unwrap()).unwrap();
        assert_eq!(trial["outcome"]["scored"]["latency_ms"].as_f64(), Some(latency));
        assert!(trial["latency"].is_null(), "nothing was measured");
        assert!(trial["outcome"]["scored"]["mes"].as_f64().unwrap() > 0.0);
    }
    assert!(text.contains("Latency is a sum over blocks"), "the caveat");
    let page = fs::read_to_string(dir.path().join("run/report/index.html")).unwrap();
    assert!(page.contains("Error of the latency table"), "the report says how well the table does");
    let tau = table.validation.as_ref().and_then(|v| v.tau).unwrap();
    assert_eq!(said.contains("warning: The latency table orders"), tau < 0.9, "tau {tau}: {said}");
}

/// Its strategies are guided by the table's latencies and weighed with them.
#[test]
fn a_study_takes_its_latencies_from_a_table() {
    let dir = folder();
    fs::copy(built(), dir.path().join("t.jsonl")).unwrap();
    let table = Table::load(built()).unwrap();
    let config = SPACE.replace("{random: {}}", "{mes_slimming: {gain: {latency_ms: 1}}}").replace(
        "{metric: mes, goal: maximize}",
        "{metric: params, goal: minimize}, {metric: latency_ms, goal: minimize}",
    );
    let strategies = "[{mes_slimming: {gain: {params: 1}}}]";
    let study = format!(
        "{config}latency: {{source: table, table: t.jsonl}}\nstudy: {{subnets: 0, rules: [{{rule: uniform}}], strategies: \
         {strategies}, seeds: 1, retrain_seeds: 0}}\n"
    );
    fs::write(dir.path().join("study.yaml"), study).unwrap();
    let (code, said) = run(dir.path(), &["study", "study.yaml", "--out", "s"]);
    assert_eq!(code, 0, "{said}");
    let text = fs::read_to_string(dir.path().join("s/study.jsonl")).unwrap();
    let rows: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(rows[0]["study"]["engine"]["table"]["digest"], table.digest.as_str());
    assert_eq!(rows[0]["study"]["volume"]["of"], "top-1 and params and latency by the table");
    let space = space(dir.path());
    let all: Vec<f64> = every_genome(&space).iter().map(|g| table.latency(&space.lower(g).unwrap()).unwrap()).collect();
    let searches: Vec<&Value> = rows.iter().filter_map(|r| r.get("search")).collect();
    let names: Vec<&str> = searches.iter().map(|s| s["strategy"].as_str().unwrap()).collect();
    assert_eq!(names, ["random", "mes_slimming(latency_ms)", "mes_slimming(params)"]);
    for search in searches {
        let front = search["front"].as_array().unwrap();
        assert!(!front.is_empty());
        for found in front.iter().map(|n| n["latency_ms"].as_f64().unwrap()) {
            assert!(all.contains(&found), "{found} is no latency of the space: {all:?}");
        }
    }
}

#[test]
fn a_table_that_does_not_serve_is_refused_before_any_training() {
    let dir = folder();
    let whole = fs::read_to_string(built()).unwrap();
    let path = dir.path().join("t.jsonl");
    let refused = |table: &str, config: &str, expected: &str| {
        fs::write(&path, table).unwrap();
        fs::write(dir.path().join("search.yaml"), config).unwrap();
        let (code, said) = run(dir.path(), &["search", "search.yaml", "--out", "run"]);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(expected), "{said}\nexpected: {expected}");
        assert!(!dir.path().join("run").exists());
    };
    let config = |more: &str| format!("{SPACE}latency: {{source: table, table: t.jsonl{more}}}\n");
    refused(&whole, &config(", threads: 2"), "a table of another number of threads: 1, expected 2");
    refused(&whole, &config(", batch: 8"), "a table of another batch: 1, expected 8");
    let wider = config("").replace("resolution: [16, 24]", "resolution: [16, 24, 32]");
    refused(&whole, &wider, "has no time for");
    let other = config("").replace("mobilevit_v1", "mobilevit_v3");
    let family = "a table of another family: mobilevit_v1, expected mobilevit_v3";
    refused(&whole, &other, family);
    let (code, said) = run(dir.path(), &["bench", "search", "search.yaml", "--table", "t.jsonl", "--seeds", "1"]);
    assert!(code == 2 && said.contains(family), "{said}");
    let imported = config("").replace("source: table", "source: imported");
    refused(&whole, &imported, "a table of another source: table, expected imported");
    // Damaged: a number changed, a line gone, the end gone, no table at all.
    let line = whole.lines().nth(3).unwrap();
    refused(
        &whole.replace(line, &line.replacen("\"count\":3", "\"count\":4", 1)),
        &config(""),
        "a checksum of other lines",
    );
    refused(&whole.replace(&format!("{line}\n"), ""), &config(""), "a checksum of other lines");
    let cut = &whole[..whole.len() / 2];
    refused(cut, &config(""), "expected a");
    refused("rubbish\n", &config(""), "line 1: found no `table` line");
    refused(
        &whole.replacen("\"format\":2", "\"format\":3", 1),
        &config(""),
        "a table of another format: 3, expected 2",
    );
    // And what only the config says.
    let nothing = SPACE.to_string() + "latency: {source: table}\n";
    refused(&whole, &nothing, "missing key table");
    refused(&whole, &config(", engine: libtorhc"), "did you mean libtorch?");
}

/// `cargo test -p mobilenas --test program -- latency_table --ignored --nocapture`: candidates a second on all cores, each drawn,
/// lowered to blocks, counted and given its latency. The table is made up: what its times are makes no difference.
#[test]
#[ignore = "a measurement"]
fn candidates_per_second() {
    use rayon::prelude::*;
    const CANDIDATES: u64 = 2_000_000;
    const SHARE: u64 = 10_000;
    let dir = folder();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/quickstart.yaml");
    fs::copy(&file, dir.path().join("c.yaml")).unwrap();
    let space = space(dir.path());
    let args = ["latency-table", "jobs", "c.yaml", "--out", "jobs", "--fit", "0", "--validate", "0"];
    assert_eq!(run(dir.path(), &args).0, 0);
    let list = fs::read_to_string(dir.path().join("jobs/jobs.csv")).unwrap();
    let rows: Vec<&str> = list.lines().collect();
    let filled: Vec<String> = rows[1..].iter().map(|l| format!("{},0.25,1\n", &l[..l.len() - 2])).collect();
    fs::write(dir.path().join("t.csv"), format!("{}\n{}", rows[0], filled.concat())).unwrap();
    let import = ["latency-table", "import", "t.csv", "--config", "c.yaml", "--device", "none", "--engine", "none"];
    let (code, said) = run(dir.path(), &[&import[..], &["--out", "t.jsonl"]].concat());
    assert_eq!(code, 0, "{said}");
    let table = Table::load(&dir.path().join("t.jsonl")).unwrap();
    for repeat in 0..3 {
        let begin = Instant::now();
        let sum: f64 = (0..CANDIDATES / SHARE)
            .into_par_iter()
            .map_init(
                || LatencyCoster::new(&table),
                |pricer, share| {
                    let mut rng = ChaCha8Rng::seed_from_u64(share);
                    let price = |_| {
                        let priced = pricer.price(&space.plan(&space.sample(&mut rng)).unwrap()).unwrap();
                        priced.latency_ms + priced.cost.params as f64 * 1e-9 + priced.cost.macs as f64 * 1e-12
                    };
                    (0..SHARE).map(price).sum::<f64>()
                },
            )
            .sum();
        let rate = CANDIDATES as f64 / begin.elapsed().as_secs_f64();
        println!(
            "{repeat}: {rate:.0} candidates per second on {} threads, {} blocks in the table (sum {sum:.1})",
            rayon::current_num_threads(),
            table.blocks.len()
        );
    }
}

#[test]
fn an_engine_that_runs_no_blocks_of_two_branches_says_so() {
    let dir = folder();
    let args = ["latency-table", "build", "--family", "crossvit", "--engine", "openvino", "--out", "t.table"];
    let (code, said) = run(dir.path(), &args);
    assert_eq!(code, 2, "{said}");
    let expected = "openvino: runs no blocks that read several values, as ";
    assert!(said.contains(expected), "{said}");
    assert!(said.contains(" does; expected another engine: libtorch, libtorch-plain, onnxruntime"), "{said}");
    assert!(!dir.path().join("t.table").exists());
}
