//! PyTorch source in PyTorch: strict load, and the logits of our networks in float64. `pytorch_source.py` has the checks.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use mobilenas_heads::{HEADS, Head, HeadOptions, attach};
use mobilenas_pytorch::{PytorchError, source};
use mobilenas_space::families::{self, FAMILIES};
use mobilenas_space::ir::{Graph, Init, ParamSpec, Regularization, Role, regularize};
use mobilenas_space::{Space, SpaceConfig};
use mobilenas_torch::weights::save;
use mobilenas_torch::{Formula, Mode, Net, formula};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use serde_json::{Value, json};
use tch::Kind;

/// Mean and standard deviation of a tensor's initial values; none of what follows from the size.
fn initial(p: &ParamSpec) -> Option<[f64; 2]> {
    let spread = |variance: f64| Some([0.0, variance.sqrt()]);
    match p.init {
        Init::Const(c) => Some([c, 0.0]),
        Init::Normal { variance: (a, b) } => spread(f64::from(a) / f64::from(b)),
        // Cut off at two standard deviations.
        Init::TruncNormal { std_e3 } => spread(0.774 * (f64::from(std_e3) * 1e-3).powi(2)),
        Init::Uniform { fan_in } => spread(1.0 / 3.0 / f64::from(fan_in)),
        Init::Xavier { fans } => spread(2.0 / f64::from(fans)),
        Init::Distances { .. } => None,
    }
}

/// A folder of networks to check.
struct Networks(tempfile::TempDir);

impl Networks {
    fn add(&self, name: &str, graph: Graph, weights: Formula) {
        let at = |ending: &str| self.0.path().join(format!("{name}.{ending}"));
        std::fs::write(at("py"), source(&graph, name).unwrap_or_else(|e| panic!("{name}: {e}"))).unwrap();
        let kind = |role| if matches!(role, Role::Counter | Role::Index) { "int64" } else { "float32" };
        let tensors: Vec<Value> =
            graph.params().iter().map(|p| json!([p.name, p.shape(), kind(p.role), initial(p)])).collect();
        std::fs::write(at("json"), json!(tensors).to_string()).unwrap();
        let images = formula::images(2, graph.input().dims[1]).unwrap().to_kind(Kind::Double);
        let net = Net::bind(Arc::new(graph), &weights).unwrap();
        save(&at("safetensors"), &net.named(), &BTreeMap::new()).unwrap();
        let outputs = net.to_kind(Kind::Double).unwrap().outputs(&images, Mode::Eval).unwrap();
        let outputs = outputs.into_iter().enumerate().map(|(i, o)| (format!("output.{i}"), o.contiguous()));
        let io = outputs.chain([("images".to_string(), images)]).collect();
        save(&at("io.safetensors"), &io, &BTreeMap::new()).unwrap();
    }

    fn add_variant(&self, id: &str) {
        self.add(id, families::plan(id, None, 1000).unwrap().lower().unwrap(), Formula::of(id));
    }

    /// A published backbone with a head, on small images.
    fn add_head(&self, head: &dyn Head, id: &str, side: u32, options: &HeadOptions) {
        let backbone = families::plan(id, Some(side), 10).unwrap();
        let graph = attach(head, backbone, options).unwrap().lower().unwrap();
        self.add(&format!("{id}_{}_{}", head.name(), options.width.unwrap_or_default()), graph, Formula::of(id));
    }

    /// Random genomes; every third one is as training with dropout and stochastic depth has it.
    fn add_random(&self, family: &str, count: usize, width: f64) {
        let config = SpaceConfig { family: family.into(), width, divisor: 8, knobs: BTreeMap::new(), classes: 10 };
        let space = Space::new(&config).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let weights = Formula { gain: families::family(family).unwrap().formula_gain() };
        for i in 0..count {
            let graph = space.lower(&space.sample(&mut rng)).unwrap();
            let how = Regularization { dropout: 0.1, head_dropout: 0.2, drop_path: Some(0.1) };
            let graph = if i % 3 == 2 { regularize(&graph, &how) } else { graph };
            self.add(&format!("{family}_{i}"), graph, weights);
        }
    }

    /// Runs the checks; every network must pass them.
    fn check(&self, args: &[&str]) {
        let python = std::env::var_os("MOBILENAS_TORCH_PYTHON").unwrap_or_else(|| "python3".into());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pytorch_source.py");
        let mut command = Command::new(python);
        command.arg("-B").arg(script).arg(self.0.path()).args(args).stdin(Stdio::null());
        let out = command.output().unwrap();
        let (text, said) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8_lossy(&out.stderr));
        let rows: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        println!("{text}");
        let failed: Vec<&Value> = rows.iter().filter(|r| r["ok"] != json!(true)).collect();
        assert!(failed.is_empty(), "{failed:#?}");
        let files = std::fs::read_dir(self.0.path()).unwrap().flatten();
        let sources = files.filter(|f| f.path().extension().is_some_and(|e| e == "py")).count();
        assert!(out.status.success() && rows.len() == sources && sources > 0, "{} of {sources}: {said}", rows.len());
    }
}

fn networks() -> Networks {
    Networks(tempfile::tempdir().unwrap())
}

#[test]
#[ignore = "needs a Python with torch 2.11.0"]
fn torch_python_loads_every_family_strictly_and_computes_its_logits() {
    let all = networks();
    let _guard = tch::no_grad_guard();
    for family in FAMILIES {
        all.add_variant(family.variants()[0].id);
        all.add_random(family.name(), 3, 0.25);
    }
    all.check(&[]);
}

impl Networks {
    /// The heads of a single pass, each on two backbones that it fits and with options that change its form.
    fn add_heads(&self) {
        for head in HEADS {
            let own = HeadOptions::new(7);
            let narrow =
                HeadOptions { width: Some(48), auxiliary: !head.needs().output_strides.is_empty(), ..own.clone() };
            if head.rcnn_rules().is_some() {
                let graph = attach(*head, families::plan("efficientformerv2_s0", Some(128), 10).unwrap(), &narrow);
                let refused = source(&graph.unwrap().lower().unwrap(), "net");
                assert!(matches!(refused, Err(PytorchError::Regions { .. })), "{refused:?}");
                continue;
            }
            // `ssdlite320` reads an expanded map, which inverted residuals have.
            let backbones = match head.needs().expanded {
                true => ["mobilenetv2_100", "mobilenetv3_large_100"],
                false => ["mobilevit_xxs", "efficientformerv2_s0"],
            };
            for (id, options) in backbones.into_iter().zip([&own, &narrow]) {
                self.add_head(*head, id, 128, options);
            }
        }
    }
}

#[test]
#[ignore = "needs a Python with torch 2.11.0"]
fn torch_python_loads_every_head_strictly_and_computes_its_outputs() {
    let all = networks();
    let _guard = tch::no_grad_guard();
    all.add_heads();
    all.check(&[]);
}

#[test]
#[ignore = "takes hours, and needs a Python with torch 2.11.0"]
fn scripts_traces_exports_compiles_and_trains_everything() {
    let all = networks();
    let _guard = tch::no_grad_guard();
    let variants: Vec<&str> = FAMILIES.iter().flat_map(|f| f.variants()).map(|v| v.id).collect();
    variants.iter().for_each(|id| all.add_variant(id));
    FAMILIES.iter().for_each(|f| all.add_random(f.name(), 50, 1.0));
    all.add_heads();
    let first: Vec<&str> = FAMILIES.iter().map(|f| f.variants()[0].id).collect();
    all.check(&["--all", "--inductor", &first.join(",")]);
}
