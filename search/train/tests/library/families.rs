//! Over the list of families: random genomes train one step, and what was trained leaves and comes back through a file.

use std::collections::BTreeMap;
use std::sync::Arc;

use mobilenas_space::Space;
use mobilenas_space::ir::{Regularization, regularize};
use mobilenas_space::seed::{Purpose, rng};
use mobilenas_task::{Batch, Classification, Targets, Task as _};
use mobilenas_torch::{Mode, Names, Net, Owned, ParamStore, Shared, weights};
use mobilenas_train::Recipe;
use mobilenas_train::TrainStep as _;
use mobilenas_train::optimizer::Optimizer;
use mobilenas_train::single_net::{Objective, SingleNet};
use mobilenas_train::trainer::StepAt;
use rand::RngExt as _;
use tch::{Device, Tensor};

use crate::covering;

fn small(family: &str) -> Space {
    covering::small(family, 6)
}

/// The same noise whatever else draws at the same time: libtorch's generator is one for all tests.
fn batch(seed: u64) -> Batch {
    let mut draw = rng(seed, Purpose::Augment, 0, 0);
    let noise: Vec<f32> = (0..4 * 3 * 64 * 64).map(|_| draw.random_range(-2.0..2.0)).collect();
    let images = Tensor::from_slice(&noise).view([4, 3, 64, 64]);
    Batch { images, targets: Targets::classes(&[0, 5, 2, 3]).unwrap() }
}

#[test]
fn random_genomes_train_one_step() {
    for family in covering::families() {
        let space = small(family.name());
        for slot in 0..2 {
            let genome = space.sample(&mut rng(1, Purpose::Ask, 0, slot));
            // What is dropped at random would change the loss more than a step does.
            let graph = Arc::new(regularize(&space.lower(&genome).unwrap(), &Regularization::NONE));
            let mut store = ParamStore::init(&graph, Names::Standalone, slot, Device::Cpu).unwrap();
            let net = Net::bind(graph, &Owned(&store)).unwrap();
            let before = store.flat().copy();
            let objective = Objective { task: &Classification, label_smoothing: 0.1, teacher: None };
            let mut single = SingleNet { net: &net, objective };
            let mut loss = |store: &ParamStore| {
                let at = StepAt { batch: 0, share: 1.0 };
                let step = single.step(store, &batch(1), at, Classification.meter().as_mut()).unwrap();
                f64::try_from(step.loss).unwrap()
            };
            let name = family.name();
            // Where norms over few values amplify every change, only a smaller step follows the gradient; against it no step
            // lowers the loss.
            let falls = [1e-6, 1e-7].iter().any(|lr| {
                tch::no_grad(|| store.flat().shallow_clone().copy_(&before));
                store.zero_grad();
                let before_it = loss(&store);
                let norm = Optimizer::new(&store, &Recipe::default()).unwrap().step(&mut store, *lr).unwrap();
                // Six classes: a network that knows nothing has a loss of ln 6, in all heads together.
                assert!(before_it > 0.5 && norm > 0.0, "{name}: loss {before_it}, norm {norm}");
                assert!(bool::try_from(store.flat().isfinite().all()).unwrap(), "{name}");
                assert!(!store.flat().equal(&before), "{name}: the step changed nothing");
                loss(&store) < before_it
            });
            assert!(falls, "{name}: the loss rose");
        }
    }
}

#[test]
fn a_subnet_leaves_as_a_network_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    for family in covering::families() {
        let space = small(family.name());
        let largest = space.lower(&space.largest()).unwrap();
        let supernet = ParamStore::init(&largest, Names::Supernet, 1, Device::Cpu).unwrap();
        for slot in 0..2 {
            let genome = space.sample(&mut rng(2, Purpose::Ask, 0, slot));
            let graph = Arc::new(space.lower(&genome).unwrap());
            let subnet = Net::bind(graph.clone(), &Shared(&supernet)).unwrap();
            let images = batch(2).images;
            subnet.recalibrate([&images].into_iter()).unwrap();
            let named = subnet.tensors().into_iter().flatten().map(|(p, t)| (p.name, t)).collect();
            let file = dir.path().join("net.safetensors");
            weights::save(&file, &named, &BTreeMap::new()).unwrap();
            let mut own = ParamStore::init(&graph, Names::Standalone, 9, Device::Cpu).unwrap();
            own.fill(&weights::load(&file).unwrap().0).unwrap();
            let alone = Net::bind(graph, &Owned(&own)).unwrap();
            let _guard = tch::no_grad_guard();
            let (a, b) = (subnet.forward(&images, Mode::Eval).unwrap(), alone.forward(&images, Mode::Eval).unwrap());
            assert!(a.equal(&b), "{}: {:?}", family.name(), space.values(&genome));
        }
    }
}
