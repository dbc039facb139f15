//! The engines that are libtorch's give the logits of the plain network.

use crate::covering;
use crate::nearness;

use std::sync::{Arc, Mutex, PoisonError};

use mobilenas_bench::engine::{Setting, engine};
use mobilenas_torch::{Mode, Names, Net, Owned, ParamStore, Values};
use nearness::agree;
use tch::{Device, Kind, Tensor};

fn networks() -> Vec<(String, Net)> {
    let mut all = Vec::new();
    for (turn, family) in covering::families().iter().enumerate() {
        let space = covering::small(family.name(), 7);
        // In turn: families that follow each other share blocks.
        let genome = if turn % 2 == 0 { space.largest() } else { space.smallest() };
        let graph = Arc::new(space.lower(&genome).unwrap());
        let store = ParamStore::with(&graph, Names::Standalone, Values::Quick, Device::Cpu).unwrap();
        let net = Net::bind(graph.clone(), &Owned(&store)).unwrap();
        net.recalibrate([&images(&net, 4)].into_iter()).unwrap();
        all.push((format!("{} {:?}", family.name(), space.values(&genome)), net));
    }
    all
}

fn images(net: &Net, batch: i64) -> Tensor {
    // libtorch's generator serves all tests that run side by side.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    tch::manual_seed(4);
    let side = i64::from(net.graph().input().dims[1]);
    Tensor::randn([batch, 3, side, side], (Kind::Float, Device::Cpu))
}

fn agrees(name: &str) {
    let (engine, setting) = (engine(name).unwrap(), Setting { batch: 2, threads: 1 });
    for (what, net) in networks() {
        let x = images(&net, 2);
        assert!(tch::no_grad(|| net.forward(&x, Mode::Eval).unwrap()).abs().max().double_value(&[]) > 0.0, "{what}");
        let mut session = engine.prepare(&net, setting).unwrap();
        // libtorch optimises a script further in its first runs.
        for _ in 0..3 {
            let got = session.run(&x).unwrap();
            tch::no_grad(|| agree(&what, &net, &x, &got)).unwrap();
        }
    }
}

#[test]
fn the_tuned_network_is_the_plain_one() {
    agrees("libtorch");
}

#[test]
fn the_script_is_the_plain_network() {
    agrees("torchscript");
}

#[test]
fn what_was_chosen_is_told_and_the_same_the_second_time() {
    let (_, net) = networks().remove(0);
    let setting = Setting { batch: 1, threads: 1 };
    let chosen = || engine("libtorch").unwrap().prepare(&net, setting).unwrap().choices();
    let first = chosen();
    assert!(first.iter().any(|(at, way)| at.starts_with("stem") && !way.is_empty()), "{first:?}");
    assert_eq!(first, chosen());
    assert!(engine("libtorch-plain").unwrap().prepare(&net, setting).unwrap().choices().is_empty());
}
