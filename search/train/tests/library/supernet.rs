//! A step of a supernet: which networks it trains, what each learns, and in which precision.

use std::collections::BTreeSet;
use std::sync::Arc;

use mobilenas_space::{Genome, Space, SpaceConfig};
use mobilenas_task::{Batch, Classification, Targets, Task as _};
use mobilenas_torch::{Mode, Net, ParamStore, PerWidthNorm, Shared, Values, formula};
use mobilenas_train::StepMetrics;
use mobilenas_train::TrainStep as _;
use mobilenas_train::recipe::{Precision, Recipe};
use mobilenas_train::settings::{BatchNorms, SubnetLoss, SupernetConfig as Config, SupernetRule as Rule};
use mobilenas_train::supernet::Supernet;
use mobilenas_train::trainer::StepAt;
use tch::{Device, Kind, Reduction, Tensor};

const STEPS: u64 = 70;

fn space() -> Space {
    let knobs = [("resolution".to_string(), vec![24, 32])].into();
    Space::new(&SpaceConfig { family: "mobilenet_v2".into(), width: 0.25, divisor: 8, knobs, classes: 4 }).unwrap()
}

fn config(change: impl FnOnce(&mut Config)) -> Config {
    let recipe = Recipe { label_smoothing: 0.0, ..Recipe::default() };
    let mut c = Config { recipe, ..Config::default() };
    change(&mut c);
    c
}

/// Images that differ in the large: of ones that are alike, as fine noise is to a network, batch norms would amplify rounding.
fn one_step(supernet: &mut Supernet<'_>, store: &ParamStore, batch: u64) -> StepMetrics {
    let at = StepAt { batch, share: 1.0 };
    supernet.step(store, &self::batch(), at, Classification.meter().as_mut()).unwrap()
}

fn batch() -> Batch {
    let labels: Vec<i64> = (0..32).map(|i| i % 4).collect();
    let images = formula::images(32, 4).unwrap().upsample_bicubic2d([32, 32], false, None, None);
    Batch { images, targets: Targets::classes(&labels).unwrap() }
}

#[test]
fn the_sandwich_is_the_largest_the_smallest_and_random_ones() {
    let (space, c) = (space(), config(|c| c.random_subnets = 3));
    let of = |step: u64, seed: u64| Supernet::new(&space, &c, &Classification, (seed, STEPS)).genomes(step);
    let first = of(0, 1);
    assert_eq!((first.len(), &first[0], &first[1]), (5, &space.largest(), &space.smallest()));
    assert_eq!(first, of(0, 1), "a step's networks depend on seed and step alone");
    assert_ne!(first[2..], of(1, 1)[2..]);
    assert_ne!(first[2..], of(0, 2)[2..]);
    let drawn: BTreeSet<Genome> = (0..20).flat_map(|s| of(s, 1)[2..].to_vec()).collect();
    assert!(drawn.len() > 50, "only {} different ones", drawn.len());
}

/// Which network ends first depends on time; what a step does must not.
#[test]
fn networks_side_by_side_give_the_gradients_of_one_after_another() {
    let (space, c) = (space(), config(|c| c.random_subnets = 2));
    let gradients = |threads: i32| {
        tch::set_num_threads(threads);
        let mut supernet = Supernet::new(&space, &c, &Classification, (1, STEPS));
        let store = supernet.store(Values::Initial(1), Device::Cpu).unwrap();
        let losses = [0, 1].map(|step| f64::try_from(one_step(&mut supernet, &store, step).loss).unwrap());
        (losses, store.flat_grad().unwrap())
    };
    let (losses, alone) = gradients(1);
    for threads in [2, 3, 4] {
        let (own, beside) = gradients(threads);
        assert!(own == losses && beside == alone, "{threads} threads");
    }
    assert!(f64::try_from(alone.abs().max()).unwrap() > 0.0);
}

#[test]
fn a_step_that_fails_says_why_and_leaves_no_network_waiting() {
    let (space, c) = (space(), config(|_| ()));
    tch::set_num_threads(2);
    let mut supernet = Supernet::new(&space, &c, &Classification, (1, STEPS));
    let store = supernet.store(Values::Initial(1), Device::Cpu).unwrap();
    let at = StepAt { batch: 0, share: 1.0 };
    let mut said =
        |batch: Batch| supernet.step(&store, &batch, at, Classification.meter().as_mut()).unwrap_err().to_string();
    // No network takes images of two channels; and the teacher has no loss for labels of another number.
    let odd = Batch { images: batch().images.narrow(1, 0, 2), ..batch() };
    assert!(said(odd).contains("conv_stem"), "no place in it");
    let few = Batch { targets: Targets::classes(&[0, 1]).unwrap(), ..batch() };
    assert!(!said(few).contains("teacher"), "not the teacher's own error");
}

#[test]
fn uniform_is_one_random_network() {
    let (space, c) = (space(), config(|c| c.rule = Rule::Uniform));
    let supernet = Supernet::new(&space, &c, &Classification, (1, STEPS));
    let drawn: BTreeSet<Genome> = (0..20).flat_map(|s| supernet.genomes(s)).collect();
    assert!(drawn.len() > 15 && (0..20).all(|s| supernet.genomes(s).len() == 1));
}

#[test]
fn progressive_opens_one_kind_of_knob_after_another() {
    let (space, c) = (space(), config(|c| c.rule = Rule::Progressive));
    assert_eq!(c.progressive_order, ["resolution", "kernel", "depth", "expand", "width"]);
    let supernet = Supernet::new(&space, &c, &Classification, (1, STEPS));
    // The kinds of knobs that are not at their largest anywhere in a phase of ten steps.
    let moved = |phase: u64| -> BTreeSet<String> {
        let genomes = (phase * 10..(phase + 1) * 10).flat_map(|s| supernet.genomes(s));
        let differ = genomes.flat_map(|g| space.domain().differing(&g, &space.largest()));
        differ.map(|i| space.knobs()[i].name.rsplit('.').next().unwrap().to_string()).collect()
    };
    assert!((0..10).all(|s| supernet.genomes(s) == [space.largest()]));
    let mut before = moved(0);
    assert!(before.is_empty());
    for (phase, kind) in (1..).zip(&c.progressive_order) {
        let now = moved(phase);
        let free = space.domain().free().iter().any(|i| space.knobs()[*i].name.ends_with(kind.as_str()));
        assert!(now.is_superset(&before) && now.contains(kind.as_str()) == free, "{kind}: {now:?} after {before:?}");
        assert_eq!(now.len(), before.len() + usize::from(free));
        before = now;
    }
    let all = space.domain().free().iter().map(|i| space.knobs()[*i].name.rsplit('.').next().unwrap().to_string());
    assert_eq!(moved(6), all.collect());
}

#[test]
fn the_smaller_learn_what_the_largest_says() {
    let (space, c) = (space(), config(|c| c.random_subnets = 0));
    // A step's networks have one thread each, and here they do, too: batch norms amplify the rounding of other sums.
    tch::set_num_threads(1);
    let mut supernet = Supernet::new(&space, &c, &Classification, (1, STEPS));
    let mut store = supernet.store(Values::Initial(1), Device::Cpu).unwrap();
    drop(one_step(&mut supernet, &store, 0));
    let ours = store.flat_grad().unwrap().copy();
    store.zero_grad();
    let logits = |store: &ParamStore, genome: &Genome| {
        let graph = Arc::new(space.lower(genome).unwrap());
        let side = i64::from(graph.input().dims[1]);
        let images = batch().images;
        let images = if side == 32 { images } else { images.upsample_bilinear2d([side, side], false, None, None) };
        Net::bind(graph, &Shared(store)).unwrap().forward(&images, Mode::Train).unwrap()
    };
    let largest = logits(&store, &space.largest());
    largest
        .cross_entropy_loss::<Tensor>(batch().targets.labels().unwrap(), None, Reduction::Mean, -100, 0.0)
        .backward();
    let taught = largest.detach().softmax(-1, None);
    // Cross-entropy against probabilities.
    logits(&store, &space.smallest())
        .cross_entropy_loss::<Tensor>(&taught, None, Reduction::Mean, -100, 0.0)
        .backward();
    let by_hand = store.flat_grad().unwrap();
    let off = (&ours - &by_hand).norm().double_value(&[]) / by_hand.norm().double_value(&[]);
    assert!(off < 1e-5, "{off}");
    for other in [SubnetLoss::Labels, SubnetLoss::Alpha] {
        let c = config(|c| (c.random_subnets, c.distill_subnets) = (0, other));
        store.zero_grad();
        drop(one_step(&mut Supernet::new(&space, &c, &Classification, (1, STEPS)), &store, 0));
        let theirs = store.flat_grad().unwrap();
        let apart = (&ours - &theirs).norm().double_value(&[]) / ours.norm().double_value(&[]);
        assert!(apart > 1e-3 && bool::try_from(theirs.isfinite().all()).unwrap(), "{other:?}: {apart}");
    }
}

#[test]
fn only_the_largest_drops_anything() {
    let space = space();
    let loss = |rule: Rule, seed: i64| {
        let c = config(|c| (c.rule, c.random_subnets, c.recipe.head_dropout) = (rule, 0, 0.5));
        let mut supernet = Supernet::new(&space, &c, &Classification, (1, STEPS));
        let store = supernet.store(Values::Initial(1), Device::Cpu).unwrap();
        tch::manual_seed(seed);
        f64::try_from(one_step(&mut supernet, &store, 3).loss).unwrap()
    };
    // The loss that a step shows is that of its first network.
    assert_ne!(loss(Rule::Sandwich, 1), loss(Rule::Sandwich, 2));
    assert_eq!(loss(Rule::Uniform, 1), loss(Rule::Uniform, 2));
}

#[test]
fn batch_norms_per_width_keep_statistics_that_score_without_recalibration() {
    // Widths that no scaling makes equal, and no networks between: so nobody else moves the smallest one's statistics.
    let design = SpaceConfig { family: "mobilenet_v2".into(), width: 1.0, divisor: 8, knobs: [].into(), classes: 4 };
    let depths = (1..6).map(|stage| (format!("stages.{stage}.depth"), vec![1]));
    let knobs = depths.chain([("resolution".to_string(), vec![24])]).collect();
    let space = Space::new(&SpaceConfig { knobs, ..design }).unwrap();
    let c = config(|c| (c.batch_norms, c.random_subnets) = (BatchNorms::PerWidth, 0));
    let mut supernet = Supernet::new(&space, &c, &Classification, (1, STEPS));
    let store = supernet.store(Values::Initial(1), Device::Cpu).unwrap();
    let few = batch();
    let few =
        Batch { images: few.images.narrow(0, 0, 8), targets: Targets::classes(&[0, 1, 2, 3, 0, 1, 2, 3]).unwrap() };
    // What the statistics began at fades by a tenth a step: 100 steps leave nothing of it. Few images, for speed.
    for step in 0..100 {
        let at = StepAt { batch: step, share: 1.0 };
        drop(supernet.step(&store, &few, at, Classification.meter().as_mut()).unwrap());
    }
    let graph = Arc::new(space.lower(&space.smallest()).unwrap());
    let side = i64::from(graph.input().dims[1]);
    let images = few.images.upsample_bilinear2d([side, side], false, None, None);
    let logits = |net: &Net| tch::no_grad(|| net.forward(&images, Mode::Eval).unwrap());
    let kept = logits(&Net::bind(graph.clone(), &PerWidthNorm(&store)).unwrap());
    let net = Net::bind(graph, &Shared(&store)).unwrap();
    let untouched = logits(&net);
    net.recalibrate([&images].into_iter()).unwrap();
    let recalibrated = logits(&net);
    // The smallest has been seen in every step, always with these images: what it kept is what recalibrating finds.
    let off = |a: &Tensor| (a - &recalibrated).norm().double_value(&[]) / recalibrated.norm().double_value(&[]);
    assert!(off(&kept) < 0.1 * off(&untouched), "{} and {}", off(&kept), off(&untouched));
}

#[test]
fn bfloat16_is_near_single_precision_in_the_loss_and_keeps_gradients_single() {
    let space = space();
    let run = |precision: Precision| {
        let c = config(|c| (c.recipe.precision, c.random_subnets) = (precision, 0));
        let mut supernet = Supernet::new(&space, &c, &Classification, (1, STEPS));
        let store = supernet.store(Values::Initial(1), Device::Cpu).unwrap();
        let loss = f64::try_from(one_step(&mut supernet, &store, 0).loss).unwrap();
        (loss, store.flat_grad().unwrap())
    };
    let (single, half) = (run(Precision::Float32), run(Precision::Bfloat16));
    assert_eq!(half.1.kind(), Kind::Float);
    assert!(single.0 != half.0 && (single.0 - half.0).abs() < 0.05 * single.0, "{} and {}", single.0, half.0);
    // The gradients of so deep a network that has learnt nothing yet are mostly rounding, in either: no more is asked of them.
    let [a, b] = [&single.1, &half.1].map(|g| g.norm().double_value(&[]));
    assert!(a > 0.0 && b > 0.0 && b < 3.0 * a && a < 3.0 * b, "{a} and {b}");
}
