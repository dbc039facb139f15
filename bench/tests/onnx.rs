//! ONNX files on ONNX Runtime: their logits are libtorch's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod checker;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use checker::Checker;
use mobilenas_bench::engine::Session as _;
use mobilenas_bench::engine::onnxruntime::File;
use mobilenas_space::families::FAMILIES;
use mobilenas_space::ir::{Graph, Role, fold_batch_norms};
use mobilenas_space::onnx::{self, Batch, Options};
use mobilenas_space::{Space, SpaceConfig, cost};
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

/// Rounding, and nothing else.
const BOUND: f64 = 1e-5;

/// How far logits are from libtorch's; `Err` if farther than [`BOUND`]. Under these weights some networks turn a change
/// of their input in the seventh digit into one of their logits in the fourth, whoever computes it: there the logits
/// must be as near to libtorch's in double precision as libtorch's own in single precision are, within a factor of two:
/// two ways of rounding the same sums. Libtorch's own differ too, with batch norms apart and folded, and by the
/// processor: the farther of the two counts.
fn agree(what: &str, net: &Net, x: &Tensor, logits: &Tensor) -> Result<String, String> {
    let single = net.forward(x, Mode::Eval).unwrap();
    let d = off(logits, &single);
    let line = format!("{what}: logits off by {d:.1e}");
    if d <= BOUND {
        return Ok(line);
    }
    let double = net.to_kind(Kind::Double).unwrap().forward(&x.to_kind(Kind::Double), Mode::Eval).unwrap();
    let folded = net.freeze().unwrap().forward(x, Mode::Eval).unwrap();
    let (ours, theirs) = (off(logits, &double), off(&single, &double).max(off(&folded, &double)));
    let line = format!("{line}; from double precision by {ours:.1e}, libtorch by {theirs:.1e}");
    if ours <= BOUND.max(2.0 * theirs) { Ok(line) } else { Err(line) }
}

fn file(net: &Net, batch: Batch, float16: bool) -> File {
    let bytes = to_onnx(net, &Options { batch, float16, about: BTreeMap::new() }).unwrap();
    File::load(&bytes, 1).unwrap()
}

fn say(line: &str) {
    // Past the test's capture: these lines are for everyone to see.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Networks of more multiplications are taken at [`SMALL`] px, which every family knows: they are tested at their own
/// resolution by the test that is ignored.
const MANY_MACS: u64 = 400_000_000;
const SMALL: u32 = 128;

#[test]
fn logits_of_every_published_network_are_libtorchs() {
    logits_of_all(|graph| if cost::graph(graph).macs > MANY_MACS { SMALL } else { graph.input().dims[1] });
}

#[test]
#[ignore = "takes two minutes: every network at its published resolution"]
fn logits_of_every_published_network_are_libtorchs_at_its_own_resolution() {
    logits_of_all(|graph| graph.input().dims[1]);
}

fn logits_of_all(resolution: impl Fn(&Graph) -> u32) {
    let _guard = tch::no_grad_guard();
    let mut wrong = Vec::new();
    for (family, info) in FAMILIES.iter().flat_map(|f| f.variants().into_iter().map(move |v| (f, v))) {
        let template = family.template(info.id).unwrap();
        let at = |side: u32| template.plan(&template.values(), side, 1000).unwrap().lower().unwrap();
        let side = resolution(&at(info.resolution));
        let net = net(at(side));
        let (x, frozen) = (images(&net, 1), net.freeze().unwrap());
        for (what, net, batch) in [("plain", &net, Batch::Dynamic), ("fused", &frozen, Batch::Fixed(1))] {
            let logits = file(net, batch, false).run(&x).unwrap();
            match agree(&format!("{}@{side} {what}", info.id), net, &x, &logits) {
                Ok(line) => say(&line),
                Err(line) => wrong.push(line),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_checker_of_onnx_finds_every_published_network_sound() {
    let mut checker = Checker::new();
    let mut wrong = Vec::new();
    for (family, info) in FAMILIES.iter().flat_map(|f| f.variants().into_iter().map(move |v| (f, v))) {
        let template = family.template(info.id).unwrap();
        let graph = template.plan(&template.values(), info.resolution, 10).unwrap().lower().unwrap();
        let folded = fold_batch_norms(&graph).graph;
        let ways =
            [(&graph, Batch::Fixed(2), false), (&folded, Batch::Dynamic, true), (&folded, Batch::Fixed(1), false)];
        // All ways for a family's first variant; the others have the same operations.
        let first = family.variants()[0].id == info.id;
        for (graph, batch, float16) in ways.into_iter().skip(if first { 0 } else { 2 }) {
            let floats = graph.params().into_iter().filter(|p| !matches!(p.role, Role::Counter | Role::Index));
            let arrays = floats.map(|p| (p.name.clone(), vec![0.5; p.elements() as usize])).collect();
            let bytes = onnx::write(graph, &arrays, &Options { batch, float16, about: BTreeMap::new() }).unwrap();
            let said = checker.check(&bytes);
            if said != "sound" {
                wrong.push(format!("{}: {said}", info.id));
            }
        }
    }
    checker.end();
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
    let mut wrong = Vec::new();
    for family in FAMILIES {
        let knobs = BTreeMap::from([("resolution".to_string(), vec![64])]);
        let design = SpaceConfig { family: family.name().into(), width: 0.25, divisor: 8, knobs, classes: 7 };
        let space = Space::new(&design).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        for _ in 0..4 {
            let net = net(space.lower(&space.sample(&mut rng)).unwrap()).freeze().unwrap();
            let mut file = file(&net, Batch::Dynamic, false);
            for batch in [1, 3] {
                let x = images(&net, batch);
                let logits = file.run(&x).unwrap();
                if let Err(line) = agree(&format!("{}, batch {batch}", family.name()), &net, &x, &logits) {
                    wrong.push(line);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
