use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mobilenas_space::families;
use mobilenas_space::ir::{Graph, ParamSpec};
use mobilenas_space::{Space, SpaceConfig};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use super::covering;
use super::seeded::seeded;
use super::side_by_side::side_by_side;
use super::{FixedKernels, KernelSelector, TunedNet};
use crate::store::Values;
use crate::{Mode, Names, Net, NetError, Owned, ParamStore, keep_freed_memory};

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
    let mut store = ParamStore::with(graph, Names::Standalone, Values::Quick, Device::Cpu).unwrap();
    let params = graph.params();
    let floats = || params.iter().filter(|p| !p.name.ends_with("num_batches_tracked") && !p.name.ends_with("idxs"));
    let tensor = |p: &ParamSpec| store.entry(&p.name).unwrap().tensor.copy();
    let all: Vec<Tensor> = floats().map(tensor).collect();
    let noise: Vec<Tensor> = seeded(5, || all.iter().map(|t| Tensor::rand_like(t) * 0.2 - 0.1).collect());
    for (p, (t, noise)) in floats().zip(all.iter().zip(noise)) {
        let near_one = p.name.ends_with("gamma") || p.name.ends_with("running_var");
        store.set(&p.name, &if near_one { noise + 1.0 } else { t + noise * 0.2 }).unwrap();
    }
    let net = Net::bind(graph.clone(), &Owned(&store)).unwrap();
    let x = images(graph, 8);
    net.recalibrate([&x].into_iter()).unwrap();
    net.freeze().unwrap()
}

/// Images that differ in the large: of ones that are alike, as fine noise is to a network, norms would amplify rounding.
fn images(graph: &Graph, batch: i64) -> Tensor {
    let side = i64::from(graph.input().dims[1]);
    let coarse = seeded(6, || Tensor::randn([batch, 3, 4, 4], (Kind::Float, Device::Cpu)));
    coarse.upsample_bicubic2d([side, side], false, None, None)
}

/// Asserts that the tuned forms of a network agree with it. Gives the kernels, and whether the network could tell: one whose
/// logits are off by more than a hundredth in single precision, in its plain form, says nothing about others.
fn agrees(name: &str, graph: &Arc<Graph>, batch: i64, turn: usize) -> (Vec<&'static str>, bool) {
    keep_freed_memory();
    // Else the threads of XNNPACK's pool, one for each core, spin between calls and take cores from other tests.
    tch::set_num_threads(1);
    let net = frozen(graph);
    let tuned = TunedNet::new(&net, batch as usize, &mut RoundRobin(turn)).unwrap();
    let x = images(graph, batch);
    let _guard = tch::no_grad_guard();
    let want = net.forward(&x, Mode::Eval).unwrap();
    let net_in_double = || net.to_kind(Kind::Double).unwrap();
    let mut tells = true;
    let mut check = |got: Tensor, net: &TunedNet| {
        let max = |t: &Tensor| f64::try_from(t.abs().max()).unwrap();
        let (off, size) = (max(&(&got - &want)), max(&want));
        if off <= 1e-4 * size && size > 0.0 {
            return;
        }
        // A network that amplifies rounding may be off by more, but not by ten times as much as the plain one is.
        let exact = net_in_double().forward(&x.to_kind(Kind::Double), Mode::Eval).unwrap();
        let (ours, plain) = (max(&(got.to_kind(Kind::Double) - &exact)), max(&(want.to_kind(Kind::Double) - &exact)));
        tells &= plain <= 1e-2 * size;
        assert!(!tells || ours <= 10.0 * plain, "{name}: off by {ours}, the plain one by {plain}: {net:?}");
    };
    // Twice: a kernel must not overwrite what the next run reads.
    check(tuned.forward(&x).unwrap(), &tuned);
    check(tuned.forward(&x).unwrap(), &tuned);
    // Scoring uses fixed kernels.
    let (fixed, logits) = TunedNet::on(&net, &x, &mut FixedKernels).unwrap();
    check(logits, &fixed);
    check(fixed.forward(&x).unwrap(), &fixed);
    (tuned.choices().map(|c| c.kernel).collect(), tells)
}

#[test]
fn tuned_genomes_agree() {
    let seen = side_by_side(covering::families(), |family| {
        let mut seen = BTreeSet::new();
        let space = covering::small(family.name(), 7);
        let mut told = 0;
        for (turn, genome) in [space.largest(), space.smallest()].into_iter().enumerate() {
            let graph = Arc::new(space.lower(&genome).unwrap());
            let (kernels, tells) = agrees(family.name(), &graph, 1 + (turn as i64 % 2), turn);
            seen.extend(kernels);
            told += usize::from(tells);
        }
        assert!(told > 0, "{}: no network tells", family.name());
        seen
    });
    let seen: BTreeSet<&str> = seen.into_iter().flatten().collect();
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
            .flat_map(|turn| agrees(family, &Arc::new(space.lower(&space.sample(&mut rng)).unwrap()), 2, turn).0)
            .collect();
        assert_eq!(seen.contains(&"one_key"), family != "mobilevit_v2", "{family}: {seen:?}");
    }
}

#[test]
fn tuned_variants_agree() {
    side_by_side(covering::variants().iter().enumerate(), |(turn, (_, variant))| {
        let graph = Arc::new(families::plan(variant.id, Some(64), 10).unwrap().lower().unwrap());
        agrees(variant.id, &graph, 1, turn);
    });
}
