//! Tensors of a supernet: those that one of its networks leaves it, and those that are missing.

use crate::covering;
use crate::seeded;
use crate::side_by_side;

use std::sync::Arc;

use mobilenas_space::Space;
use mobilenas_space::ir::Graph;
use mobilenas_torch::{Mode, Names, Net, NetError, Owned, ParamStore, Params, PerWidthNorm, Shared, Values};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use seeded::seeded;
use side_by_side::side_by_side;
use tch::{Device, Kind, Tensor};

fn supernet(space: &Space) -> ParamStore {
    let largest = space.lower(&space.largest()).unwrap();
    ParamStore::with(&largest, Names::Supernet, Values::Quick, Device::Cpu).unwrap()
}

/// A network with no tensor at its neutral initial value.
fn trained(graph: &Graph) -> ParamStore {
    let mut store = ParamStore::with(graph, Names::Standalone, Values::Quick, Device::Cpu).unwrap();
    let params = graph.params();
    let trainable = || params.iter().filter(|p| p.role.trainable());
    let all: Vec<Tensor> = trainable().map(|p| store.entry(&p.name).unwrap().tensor.detach()).collect();
    let noise: Vec<Tensor> = seeded(2, || all.iter().map(|t| Tensor::rand_like(t) * 0.05).collect());
    for (p, (t, noise)) in trainable().zip(all.iter().zip(noise)) {
        store.set(&p.name, &(t + noise)).unwrap();
    }
    store
}

/// Logits with the statistics of the batch.
fn logits(net: &Net, x: &Tensor) -> Tensor {
    tch::no_grad(|| net.forward(x, Mode::Calibrate(1)).unwrap()).to_kind(Kind::Double)
}

#[test]
fn the_subnet_computes_what_the_network_computed() {
    side_by_side(covering::families(), |family| {
        let space = covering::small(family.name(), 7);
        let genomes = [space.largest(), space.smallest(), space.sample(&mut ChaCha8Rng::seed_from_u64(7))];
        for genome in genomes {
            let graph = Arc::new(space.lower(&genome).unwrap());
            let (alone, mut shared) = (trained(&graph), supernet(&space));
            let x = seeded(4, || Tensor::rand([3, 3, 64, 64], (Kind::Float, Device::Cpu)));
            let want = logits(&Net::bind(graph.clone(), &Owned(&alone)).unwrap(), &x);
            let subnet = |shared: &ParamStore| logits(&Net::bind(graph.clone(), &Shared(shared)).unwrap(), &x);
            let off = |y: Tensor| ((y - &want).abs().max() / want.abs().max()).double_value(&[]);
            assert!(off(subnet(&shared)) > 1e-3, "{}: another network before", family.name());
            assert_eq!(shared.inherit(&graph, &alone.named()).unwrap(), Vec::<String>::new());
            let off = off(subnet(&shared));
            assert!(off <= 1e-6, "{}: off by {off:e}", family.name());
        }
    });
}

#[test]
fn what_no_slice_covers_stays() {
    let space = covering::small("mobilenet_v2", 7);
    let graph = space.lower(&space.smallest()).unwrap();
    let (before, mut after) = (supernet(&space), supernet(&space));
    after.inherit(&graph, &trained(&graph).named()).unwrap();
    let name = "conv_stem.weight";
    let own = graph.params().iter().find(|p| p.name == name).unwrap().shape()[0];
    let [before, after] = [&before, &after].map(|s| s.entry(name).unwrap().tensor.detach());
    let rest = before.size()[0] - own;
    assert!(rest > 0);
    assert_eq!(before.narrow(0, own, rest), after.narrow(0, own, rest));
    assert_ne!(before.narrow(0, 0, own), after.narrow(0, 0, own));
}

#[test]
fn a_classifier_of_other_classes_is_anew_and_misfits_change_nothing() {
    let of = |classes: u32| {
        let space = covering::small("mobilevit_v1", classes);
        let graph = space.lower(&space.largest()).unwrap();
        (space, graph)
    };
    let ((space, graph), (_, other)) = (of(7), of(9));
    let mut shared = supernet(&space);
    let head = shared.entry("head.fc.weight").unwrap().tensor.detach().copy();
    let mut named = trained(&other).named();
    assert_eq!(shared.inherit(&graph, &named).unwrap(), ["head.fc.bias", "head.fc.weight"]);
    assert_eq!(head, shared.entry("head.fc.weight").unwrap().tensor.detach());

    let mut shared = supernet(&space);
    assert!(named.remove("stem.bn.weight").is_some());
    let error = shared.inherit(&graph, &named).unwrap_err();
    assert!(matches!(&error, NetError::Misfits(all) if all.len() == 1), "{error}");
    let fresh = supernet(&space);
    assert!(shared.entries().all(|(name, e)| e.tensor == fresh.entry(name).unwrap().tensor));
}

#[test]
fn a_missing_tensor_is_named() {
    let space = covering::small("mobilenet_v2", 7);
    let largest = space.lower(&space.largest()).unwrap();
    let store =
        ParamStore::with(&space.lower(&space.smallest()).unwrap(), Names::Supernet, Values::Zero, Device::Cpu).unwrap();
    let spec = largest.params().into_iter().find(|p| p.shared.starts_with("blocks.1.1")).unwrap();
    let error = Shared(&store).get(&spec).unwrap_err().to_string();
    assert!(error.starts_with("blocks.1.1.conv_pw.weight: no such tensor"), "{error}");
}

#[test]
fn a_width_without_tensors_is_named() {
    let space = covering::small("mobilenet_v2", 7);
    let whole = space.lower(&space.largest()).unwrap();
    let store = ParamStore::per_width(&whole, &mobilenas_space::Widths::new(), Values::Zero, Device::Cpu).unwrap();
    let smallest = Arc::new(space.lower(&space.smallest()).unwrap());
    let error = Net::bind(smallest, &PerWidthNorm(&store)).unwrap_err().to_string();
    assert!(error.contains('@') && error.contains("no such tensor"), "{error}");
}
