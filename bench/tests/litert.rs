//! LiteRT as an engine: what it computes of networks, and of blocks as latency tables time them, is libtorch's.

use crate::covering;
use crate::nearness;

use std::collections::BTreeMap;
use std::sync::Arc;

use mobilenas_bench::engine::litert::LiteRt;
use mobilenas_bench::engine::{Engine, Setting};
use mobilenas_space::ir::Graph;
use mobilenas_space::latency_key;
use mobilenas_torch::{Formula, Mode, Net, formula};
use nearness::agree;
use tch::{Kind, Tensor};

fn graphs() -> Vec<(&'static str, Formula, Graph)> {
    let one = |turn: usize, family: &&'static dyn mobilenas_space::families::Family| {
        let space = covering::small(family.name(), 7);
        // In turn: families that follow each other share blocks.
        let genome = if turn.is_multiple_of(2) { space.largest() } else { space.smallest() };
        (family.name(), Formula { gain: family.formula_gain() }, space.lower(&genome).unwrap())
    };
    covering::families().iter().enumerate().map(|(turn, family)| one(turn, family)).collect()
}

#[test]
#[ignore = "needs the converters that `cargo xtask setup --phones` fetches"]
fn phones_python_logits_of_small_networks_are_libtorchs() {
    let _guard = tch::no_grad_guard();
    let mut wrong = Vec::new();
    for (family, weights, graph) in graphs() {
        let net = Net::bind(Arc::new(graph), &weights).unwrap();
        let x = formula::images(2, net.graph().input().dims[1]).unwrap();
        let line = match LiteRt.prepare(&net, Setting { batch: 2, threads: 1 }) {
            Err(e) => Err(format!("{family}: {e}")),
            Ok(mut session) => {
                assert!(session.choices().contains(&("threads".to_string(), "1".to_string())));
                agree(family, &net.freeze().unwrap(), &x, &session.run(&x).unwrap())
            }
        };
        println!("{line:?}");
        wrong.extend(line.err());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
#[ignore = "needs the converters that `cargo xtask setup --phones` fetches"]
fn phones_python_blocks_alone_give_what_libtorch_gives() {
    let _guard = tch::no_grad_guard();
    let (mut wrong, mut blocks) = (Vec::new(), BTreeMap::new());
    for (family, weights, graph) in graphs() {
        for block in latency_key::blocks(&graph).into_iter().filter(|b| b.inputs().count() == 1) {
            blocks.entry(latency_key::key(&block)).or_insert((family, weights, block));
        }
    }
    for (key, (family, weights, block)) in blocks {
        let size: Vec<i64> = std::iter::once(2).chain(block.input().dims.iter().map(|d| i64::from(*d))).collect();
        let net = Net::bind(Arc::new(block), &weights).unwrap();
        let (n, what) = (size.iter().product::<i64>(), format!("{family} {key}"));
        // Positive and negative numbers without a period.
        let x = (Tensor::arange(n, (Kind::Double, tch::Device::Cpu)) * 0.618).sin().to_kind(Kind::Float).reshape(&size);
        let line = match LiteRt.prepare(&net, Setting { batch: 2, threads: 1 }) {
            Err(e) => Err(format!("{what}: {e}")),
            Ok(mut session) => agree(&what, &net.freeze().unwrap(), &x, &session.run(&x).unwrap()),
        };
        println!("{line:?}");
        wrong.extend(line.err());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
#[ignore = "needs the converters that `cargo xtask setup --phones` fetches"]
fn phones_python_a_session_runs_again_and_refuses_another_batch() {
    let _guard = tch::no_grad_guard();
    let space = covering::small("mobilenet_v2", 7);
    let net = Net::bind(Arc::new(space.lower(&space.smallest()).unwrap()), &Formula::PLAIN).unwrap();
    let x = formula::images(1, 64).unwrap();
    let mut session = LiteRt.prepare(&net, Setting { batch: 1, threads: 1 }).unwrap();
    let first = session.run(&x).unwrap();
    assert!(nearness::off(&first, &net.forward(&x, Mode::Eval).unwrap()) < 1e-5);
    assert!(nearness::off(&first, &session.run(&(&x * 0.5)).unwrap()) > 1e-3, "the second images are others");
    assert!(nearness::off(&first, &session.run(&x).unwrap()) < 1e-6);
    let said = session.run(&formula::images(2, 64).unwrap()).unwrap_err().to_string();
    assert_eq!(said, "engine litert: found images [2, 3, 64, 64], expected 12288 numbers");
}
