//! ONNX files on ONNX Runtime: their logits are libtorch's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;

use mobilenas_bench::engine::Session as _;
use mobilenas_bench::engine::onnxruntime::File;
use mobilenas_space::families::FAMILIES;
use mobilenas_space::ir::{Graph, Role, fold_batch_norms};
use mobilenas_space::onnx::{self, Batch, Options};
use mobilenas_space::{Design, Space};
use mobilenas_torch::onnx::to_onnx;
use mobilenas_torch::{Formula, Mode, Net, formula};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use tch::{Kind, Tensor};

fn net(graph: Graph) -> Net {
    Net::bind(Arc::new(graph), &Formula).unwrap()
}

fn images(net: &Net, batch: i64) -> Tensor {
    formula::images(batch as usize, net.graph().input().dims[1]).unwrap()
}

/// The largest difference over the largest value.
fn off(ours: &Tensor, reference: &Tensor) -> f64 {
    let (ours, reference) = (ours.to_kind(Kind::Double), reference.to_kind(Kind::Double));
    assert_eq!(ours.size(), reference.size());
    (ours - &reference).abs().max().double_value(&[]) / reference.abs().max().double_value(&[])
}

fn file(net: &Net, batch: Batch, float16: bool) -> File {
    let bytes = to_onnx(net, &Options { batch, float16, about: BTreeMap::new() }).unwrap();
    File::load(&bytes, 1).unwrap()
}

fn say(line: &str) {
    // Past the test's capture: these lines are for everyone to see.
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[test]
fn logits_of_every_published_network_are_libtorchs() {
    let _guard = tch::no_grad_guard();
    let mut wrong = Vec::new();
    for (family, info) in FAMILIES.iter().flat_map(|f| f.variants().into_iter().map(move |v| (f, v))) {
        let template = family.template(info.id).unwrap();
        let graph = template.plan(&template.values(), info.resolution, 1000).unwrap().lower().unwrap();
        let net = net(graph);
        let x = images(&net, 1);
        let expected = net.forward(&x, Mode::Eval).unwrap();
        let exact = net.to_kind(Kind::Double).unwrap().forward(&x.to_kind(Kind::Double), Mode::Eval).unwrap();
        let frozen = net.freeze().unwrap();
        let plain = file(&net, Batch::Fixed(1), false).run(&x).unwrap();
        let fused = file(&frozen, Batch::Dynamic, false).run(&x).unwrap();
        let frozen = frozen.forward(&x, Mode::Eval).unwrap();
        let all = [
            off(&plain, &expected),
            off(&fused, &frozen),
            off(&expected, &exact),
            off(&plain, &exact),
            off(&frozen, &exact),
            off(&fused, &exact),
        ];
        let shown = all.map(|d| format!("{d:.1e}")).join(" ");
        say(&format!("{}@{}: {shown}", info.id, info.resolution));
        if all[..2].iter().any(|d| !(*d <= 1e-5)) {
            wrong.push(format!("{}@{}: {shown}", info.id, info.resolution));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Python that reads names of files and says of each what onnx's checker does.
const CHECKER: &str = "\
import sys, onnx
for line in sys.stdin:
    try:
        onnx.checker.check_model(line.strip(), full_check=True)
        print('sound', flush=True)
    except Exception as e:
        print(' '.join(str(e).split()), flush=True)
";

#[test]
fn the_checker_of_onnx_finds_every_published_network_sound() {
    let python = std::env::var_os("MOBILENAS_ONNX_PYTHON");
    let python = python.expect("MOBILENAS_ONNX_PYTHON is a Python with the package onnx; `cargo xtask test` sets it");
    let mut child =
        Command::new(python).args(["-c", CHECKER]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut ask = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut check = |bytes: &[u8]| {
        let file = tempfile::Builder::new().suffix(".onnx").tempfile().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        writeln!(ask, "{}", file.path().display()).unwrap();
        answers.next().expect("the checker answers").unwrap()
    };
    let mut wrong = Vec::new();
    for (family, info) in FAMILIES.iter().flat_map(|f| f.variants().into_iter().map(move |v| (f, v))) {
        let template = family.template(info.id).unwrap();
        let graph = template.plan(&template.values(), info.resolution, 10).unwrap().lower().unwrap();
        let folded = fold_batch_norms(&graph).graph;
        for (graph, batch, float16) in [(&graph, Batch::Fixed(2), false), (&folded, Batch::Dynamic, true)] {
            let floats = graph.params().into_iter().filter(|p| !matches!(p.role, Role::Counter | Role::Index));
            let arrays = floats.map(|p| (p.name.clone(), vec![0.5; p.elements() as usize])).collect();
            let bytes = onnx::write(graph, &arrays, &Options { batch, float16, about: BTreeMap::new() }).unwrap();
            let said = check(&bytes);
            if said != "sound" {
                wrong.push(format!("{}: {said}", info.id));
            }
        }
    }
    // And it would say so: half a file is none.
    assert_ne!(check(b"no model"), "sound");
    drop(ask);
    assert!(child.wait().unwrap().success());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn weights_in_half_precision_are_cast_and_nothing_else() {
    let _guard = tch::no_grad_guard();
    let (family, info) = mobilenas_space::families::variant("mobilevit_xxs").unwrap();
    let template = family.template(info.id).unwrap();
    let net = net(template.plan(&template.values(), 64, 10).unwrap().lower().unwrap()).freeze().unwrap();
    let x = images(&net, 1);
    let half = net.to_kind(Kind::Half).unwrap().to_kind(Kind::Float).unwrap().forward(&x, Mode::Eval).unwrap();
    let ours = file(&net, Batch::Fixed(1), true).run(&x).unwrap();
    assert!(off(&ours, &half) <= 1e-3);
    assert!(off(&ours, &net.forward(&x, Mode::Eval).unwrap()) > 1e-5, "half precision rounds");
    let size = |float16| to_onnx(&net, &Options { float16, ..Options::default() }).unwrap().len();
    assert!(size(true) * 10 < size(false) * 6);
}

#[test]
fn logits_of_random_networks_are_libtorchs_in_every_batch() {
    let _guard = tch::no_grad_guard();
    for family in FAMILIES {
        let knobs = BTreeMap::from([("resolution".to_string(), vec![64])]);
        let design = Design { family: family.name().into(), width: 0.25, divisor: 8, knobs, classes: 7 };
        let space = Space::new(&design).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        for _ in 0..4 {
            let net = net(space.lower(&space.sample(&mut rng)).unwrap()).freeze().unwrap();
            let mut file = file(&net, Batch::Dynamic, false);
            for batch in [1, 3] {
                let x = images(&net, batch);
                let d = off(&file.run(&x).unwrap(), &net.forward(&x, Mode::Eval).unwrap());
                assert!(d <= 1e-5, "{}, batch {batch}: off by {d:.1e}", family.name());
            }
        }
    }
}
