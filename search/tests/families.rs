//! Over the list of families: random genomes train one step, and what was trained leaves and comes back through a file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Arc;

use mobilenas::seed::{Purpose, rng};
use mobilenas::train::batches::Batch;
use mobilenas::train::optimizer::AdamW;
use mobilenas::train::single;
use mobilenas_space::families::FAMILIES;
use mobilenas_space::{Design, Space};
use mobilenas_torch::{Mode, Names, Net, Owned, Shared, Store, weights};
use tch::{Device, Kind, Tensor};

fn small(family: &str) -> Space {
    let knobs = BTreeMap::from([("resolution".to_string(), vec![64])]);
    Space::new(&Design { family: family.into(), width: 0.25, divisor: 8, knobs, classes: 6 }).unwrap()
}

fn batch(seed: i64) -> Batch {
    tch::manual_seed(seed);
    let images = Tensor::randn([4, 3, 64, 64], (Kind::Float, Device::Cpu));
    Batch { images, labels: Tensor::from_slice(&[0i64, 5, 2, 3]), targets: None }
}

#[test]
fn random_genomes_train_one_step() {
    for family in FAMILIES {
        let space = small(family.name());
        for slot in 0..3 {
            let genome = space.sample(&mut rng(1, Purpose::Ask, 0, slot));
            let graph = Arc::new(space.lower(&genome).unwrap());
            let mut store = Store::init(&graph, Names::Own, slot, Device::Cpu).unwrap();
            let net = Net::bind(graph, &Owned(&store)).unwrap();
            let before = store.flat().copy();
            let loss = f64::try_from(single::step(&net, &batch(1), 0.1).unwrap()).unwrap();
            let norm = AdamW::new(&store, 0.01).unwrap().step(&mut store, 1e-3, 1.0).unwrap();
            // Six classes: a network that knows nothing has a loss of ln 6, in all heads together.
            assert!(loss.is_finite() && loss > 0.5 && norm > 0.0, "{}: loss {loss}, norm {norm}", family.name());
            assert!(bool::try_from(store.flat().isfinite().all()).unwrap(), "{}", family.name());
            assert!(!store.flat().equal(&before), "{}: the step changed nothing", family.name());
            let after = f64::try_from(single::step(&net, &batch(1), 0.1).unwrap()).unwrap();
            assert!(after < loss, "{}: the loss rose from {loss} to {after}", family.name());
        }
    }
}

#[test]
fn a_subnet_leaves_as_a_network_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    for family in FAMILIES {
        let space = small(family.name());
        let largest = space.lower(&space.largest()).unwrap();
        let supernet = Store::init(&largest, Names::Shared, 1, Device::Cpu).unwrap();
        for slot in 0..3 {
            let genome = space.sample(&mut rng(2, Purpose::Ask, 0, slot));
            let graph = Arc::new(space.lower(&genome).unwrap());
            let subnet = Net::bind(graph.clone(), &Shared(&supernet)).unwrap();
            let images = batch(2).images;
            subnet.recalibrate([&images].into_iter()).unwrap();
            let named = subnet.tensors().into_iter().flatten().map(|(p, t)| (p.name, t)).collect();
            let file = dir.path().join("net.safetensors");
            weights::save(&file, &named, &BTreeMap::new()).unwrap();
            let mut own = Store::init(&graph, Names::Own, 9, Device::Cpu).unwrap();
            own.fill(&weights::load(&file).unwrap().0).unwrap();
            let alone = Net::bind(graph, &Owned(&own)).unwrap();
            let _guard = tch::no_grad_guard();
            let (a, b) = (subnet.forward(&images, Mode::Eval).unwrap(), alone.forward(&images, Mode::Eval).unwrap());
            assert!(a.equal(&b), "{}: {:?}", family.name(), space.values(&genome));
        }
    }
}
