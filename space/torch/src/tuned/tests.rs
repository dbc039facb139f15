use std::collections::BTreeMap;
use std::sync::Arc;

use mobilenas_space::families::{self, FAMILIES};
use mobilenas_space::ir::Graph;
use mobilenas_space::{Design, Space};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use super::{Fixed, Judge, Tuned};
use crate::{Mode, Names, Net, NetError, Owned, Store};

/// Takes the next way at each step, so that over the steps all are taken.
struct Turns(usize);

impl Judge for Turns {
    fn known(&mut self, _: &str) -> Option<String> {
        None
    }

    fn fastest(
        &mut self,
        _: &str,
        names: &[&str],
        _: &mut dyn FnMut(usize) -> Result<(), NetError>,
    ) -> Result<usize, NetError> {
        self.0 += 1;
        Ok(self.0 % names.len())
    }
}

/// A network with statistics and tables that leave no factor at its neutral value, frozen.
fn frozen(graph: &Arc<Graph>) -> Net {
    tch::manual_seed(5);
    let mut store = Store::init(graph, Names::Own, 1, Device::Cpu).unwrap();
    for p in graph.params() {
        if p.name.ends_with("num_batches_tracked") || p.name.ends_with("idxs") {
            continue;
        }
        let t = store.entry(&p.name).unwrap().tensor.copy();
        let noise = Tensor::rand_like(&t) * 0.2 - 0.1;
        let near_one = p.name.ends_with("gamma") || p.name.ends_with("running_var");
        store.set(&p.name, &if near_one { noise + 1.0 } else { t + noise * 0.2 }).unwrap();
    }
    let net = Net::bind(graph.clone(), &Owned(&store)).unwrap();
    let x = images(graph, 2);
    net.recalibrate([&x].into_iter()).unwrap();
    net.freeze().unwrap()
}

fn images(graph: &Graph, batch: i64) -> Tensor {
    let side = i64::from(graph.input().dims[1]);
    Tensor::randn([batch, 3, side, side], (Kind::Float, Device::Cpu))
}

fn agrees(name: &str, graph: &Arc<Graph>, batch: i64, turn: usize) -> Vec<&'static str> {
    let net = frozen(graph);
    let tuned = Tuned::new(&net, batch as usize, &mut Turns(turn)).unwrap();
    let x = images(graph, batch);
    let _guard = tch::no_grad_guard();
    let want = net.forward(&x, Mode::Eval).unwrap();
    for _ in 0..2 {
        let got = tuned.forward(&x).unwrap();
        let most = |t: Tensor| f64::try_from(t.abs().max()).unwrap();
        let (apart, size) = (most(&got - &want), most(want.shallow_clone()));
        assert!(apart <= 1e-4 * size && size > 0.0, "{name}: {apart} of {size}: {tuned:?}");
    }
    // What scores candidates takes fixed ways.
    let (fixed, first) = Tuned::on(&net, &x, &mut Fixed).unwrap();
    for got in [first, fixed.forward(&x).unwrap()] {
        let most = |t: Tensor| f64::try_from(t.abs().max()).unwrap();
        let (apart, size) = (most(&got - &want), most(want.shallow_clone()));
        assert!(apart <= 1e-4 * size, "{name}: {apart} of {size}: {fixed:?}");
    }
    tuned.choices().map(|c| c.way).collect()
}

fn small(family: &str) -> Space {
    let knobs = BTreeMap::from([("resolution".to_string(), vec![64])]);
    Space::new(&Design { family: family.into(), width: 0.25, divisor: 8, knobs, classes: 7 }).unwrap()
}

#[test]
fn genomes_of_every_family_stay_what_they_are() {
    let mut seen = std::collections::BTreeSet::new();
    for family in FAMILIES {
        let (space, mut rng) = (small(family.name()), ChaCha8Rng::seed_from_u64(3));
        let random = (0..3).map(|_| space.sample(&mut rng)).collect::<Vec<_>>();
        for (turn, genome) in [space.largest(), space.smallest()].into_iter().chain(random).enumerate() {
            let graph = Arc::new(space.lower(&genome).unwrap());
            seen.extend(agrees(family.name(), &graph, 1 + (turn as i64 % 2), turn));
        }
    }
    for way in ["native", "mkldnn", "mkldnn_packed_act", "mkldnn_packed_add", "xnnpack", "rows_packed_act", "products"]
    {
        assert!(seen.contains(way), "{way} was never taken: {seen:?}");
    }
}

/// Patches as large as their map: attention to one key.
#[test]
fn a_single_key_stays_what_it_is() {
    let mut knobs = BTreeMap::from([("resolution".to_string(), vec![32])]);
    let patches = [vec![1, 2, 4], vec![1, 2], vec![1]];
    knobs.extend((2..).zip(patches).map(|(s, p)| (format!("stages.{s}.patch"), p)));
    for family in ["mobilevit_v1", "mobilevit_v2"] {
        let design = Design { family: family.into(), width: 0.25, divisor: 8, knobs: knobs.clone(), classes: 7 };
        let (space, mut rng) = (Space::new(&design).unwrap(), ChaCha8Rng::seed_from_u64(4));
        let seen: Vec<&str> = (0..3)
            .flat_map(|turn| agrees(family, &Arc::new(space.lower(&space.sample(&mut rng)).unwrap()), 2, turn))
            .collect();
        assert_eq!(seen.contains(&"one_key"), family != "mobilevit_v2", "{family}: {seen:?}");
    }
}

#[test]
fn every_published_variant_stays_what_it_is() {
    for family in FAMILIES {
        for (turn, variant) in family.variants().iter().enumerate() {
            let (family, _) = families::variant(variant.id).unwrap();
            let template = family.template(variant.id).unwrap();
            let side = if variant.resolution == 256 { 128 } else { variant.resolution };
            let graph = Arc::new(template.plan(&template.values(), side, 10).unwrap().lower().unwrap());
            agrees(variant.id, &graph, 1, turn);
        }
    }
}
