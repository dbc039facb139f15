use std::collections::BTreeMap;
use std::sync::Arc;

use mobilenas_space::families::{self, FAMILIES};
use mobilenas_space::ir::Graph;
use mobilenas_space::{Space, SpaceConfig};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use super::{FixedKernels, KernelSelector, TunedNet};
use crate::{Mode, Names, Net, NetError, Owned, ParamStore};

/// Takes the next kernel at each step, so that all are taken at some step.
struct RoundRobin(usize);

impl KernelSelector for RoundRobin {
    fn cached(&mut self, _: &str) -> Option<String> {
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

/// A frozen network in which no scale, shift or statistic has its neutral initial value.
fn frozen(graph: &Arc<Graph>) -> Net {
    tch::manual_seed(5);
    let mut store = ParamStore::init(graph, Names::Standalone, 1, Device::Cpu).unwrap();
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
    let tuned = TunedNet::new(&net, batch as usize, &mut RoundRobin(turn)).unwrap();
    let x = images(graph, batch);
    let _guard = tch::no_grad_guard();
    let want = net.forward(&x, Mode::Eval).unwrap();
    let check = |got: Tensor, net: &TunedNet| {
        let max = |t: &Tensor| f64::try_from(t.abs().max()).unwrap();
        let (off, size) = (max(&(got - &want)), max(&want));
        assert!(off <= 1e-4 * size && size > 0.0, "{name}: off by {off} of {size}: {net:?}");
    };
    // Twice: a kernel must not overwrite what the next run reads.
    check(tuned.forward(&x).unwrap(), &tuned);
    check(tuned.forward(&x).unwrap(), &tuned);
    // Scoring uses fixed kernels.
    let (fixed, logits) = TunedNet::on(&net, &x, &mut FixedKernels).unwrap();
    check(logits, &fixed);
    check(fixed.forward(&x).unwrap(), &fixed);
    tuned.choices().map(|c| c.kernel).collect()
}

fn small(family: &str) -> Space {
    let knobs = BTreeMap::from([("resolution".to_string(), vec![64])]);
    Space::new(&SpaceConfig { family: family.into(), width: 0.25, divisor: 8, knobs, classes: 7 }).unwrap()
}

#[test]
fn tuned_genomes_of_every_family_agree() {
    let mut seen = std::collections::BTreeSet::new();
    for family in FAMILIES {
        let (space, mut rng) = (small(family.name()), ChaCha8Rng::seed_from_u64(3));
        let random = (0..3).map(|_| space.sample(&mut rng)).collect::<Vec<_>>();
        for (turn, genome) in [space.largest(), space.smallest()].into_iter().chain(random).enumerate() {
            let graph = Arc::new(space.lower(&genome).unwrap());
            seen.extend(agrees(family.name(), &graph, 1 + (turn as i64 % 2), turn));
        }
    }
    for kernel in
        ["native", "mkldnn", "mkldnn_packed_act", "mkldnn_packed_add", "xnnpack", "rows_packed_act", "products"]
    {
        assert!(seen.contains(kernel), "{kernel} was never taken: {seen:?}");
    }
}

/// Patches as large as the map give attention to one key.
#[test]
fn tuned_attention_to_one_key_agrees() {
    let mut knobs = BTreeMap::from([("resolution".to_string(), vec![32])]);
    let patches = [vec![1, 2, 4], vec![1, 2], vec![1]];
    knobs.extend((2..).zip(patches).map(|(s, p)| (format!("stages.{s}.patch"), p)));
    for family in ["mobilevit_v1", "mobilevit_v2"] {
        let design = SpaceConfig { family: family.into(), width: 0.25, divisor: 8, knobs: knobs.clone(), classes: 7 };
        let (space, mut rng) = (Space::new(&design).unwrap(), ChaCha8Rng::seed_from_u64(4));
        let seen: Vec<&str> = (0..3)
            .flat_map(|turn| agrees(family, &Arc::new(space.lower(&space.sample(&mut rng)).unwrap()), 2, turn))
            .collect();
        assert_eq!(seen.contains(&"one_key"), family != "mobilevit_v2", "{family}: {seen:?}");
    }
}

#[test]
fn every_tuned_variant_agrees() {
    for family in FAMILIES {
        for (turn, variant) in family.variants().iter().enumerate() {
            let side = if variant.resolution == 256 { 128 } else { variant.resolution };
            let graph = Arc::new(families::plan(variant.id, Some(side), 10).unwrap().lower().unwrap());
            agrees(variant.id, &graph, 1, turn);
        }
    }
}
