use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use mobilenas_host::WallClock;
use mobilenas_space::{Space, SpaceConfig};
use mobilenas_torch::{Names, Net, Owned};
use tch::Device;

use super::*;
use crate::collective::Local;
use crate::recipe::{self, ClipConfig};
use crate::single_net::{Objective, SingleNet};
use mobilenas_data::Target;
use mobilenas_data::dataset::{Dataset, ImageSource, InMemoryImages};
use mobilenas_data::loader::{LoaderConfig, Normalization, Sampler, TransformedDataset};
use mobilenas_data::transform::Augment;
use mobilenas_task::{Classification, Targets};

/// Forty images in batches of ten.
fn feed(batch: usize) -> DataLoader {
    let pixels = (0..40 * 64u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let images = ImageSource::Memory(InMemoryImages { n: 40, height: 8, width: 8, channels: 1, pixels });
    let classes = ["a", "b", "c", "d"].map(str::to_string).to_vec();
    let data =
        Dataset { images, targets: (0..40).map(|i| Target::Class(i % 4)).collect(), classes, ..Dataset::default() };
    let view = TransformedDataset::new(data.into(), Normalization::grey(0.5, 0.3), 0.0);
    let sampler = Sampler { batch, repeats: 1, scale: None };
    let how = LoaderConfig { augment: Augment::default(), sampler, label_smoothing: 0.0, threads: 2 };
    DataLoader::new(view, &(0..40).collect::<Vec<_>>(), how, 1).unwrap()
}

const OBJECTIVE: Objective<'static> = Objective { task: &Classification, label_smoothing: 0.0, teacher: None };

/// Four steps an epoch, eight in all.
fn plan(change: impl FnOnce(&mut Recipe)) -> TrainerConfig {
    let mut recipe = Recipe {
        epochs: 2.0,
        batch: 10,
        lr: 1e-3,
        weight_decay: 0.01,
        warmup: 0.5,
        label_smoothing: 0.0,
        max_nonfinite_steps: 3,
        ..Recipe::default()
    };
    change(&mut recipe);
    TrainerConfig { recipe, seed: 1, checkpoint_every: 0.0 }
}

fn of(family: &str, knobs: &[(&str, i64)]) -> (ParamStore, Net) {
    let knobs = knobs.iter().map(|(k, v)| (k.to_string(), vec![*v])).collect();
    let design = SpaceConfig { family: family.into(), width: 0.125, divisor: 8, knobs, classes: 4 };
    let space = Space::new(&design).unwrap_or_else(|e| panic!("{e:?}"));
    let graph = Arc::new(space.lower(&space.smallest()).unwrap());
    let store = ParamStore::init(&graph, Names::Standalone, 1, Device::Cpu).unwrap();
    let net = Net::bind(graph, &Owned(&store)).unwrap();
    (store, net)
}

/// Some thousand weights.
fn small() -> (ParamStore, Net) {
    of("mobilenet_v2", &[("resolution", 32)])
}

/// A lesson that breaks at some steps, and stops at one.
struct Broken<'a> {
    single: SingleNet<'a>,
    at: &'a dyn Fn(u64) -> bool,
    seen: Vec<u64>,
    stop: Option<(u64, &'a Stop)>,
    /// Accumulated parts of a step.
    parts: u64,
}

impl TrainStep for Broken<'_> {
    fn task(&self) -> &'static dyn Task {
        &Classification
    }

    fn step(
        &mut self,
        store: &ParamStore,
        batch: &Batch,
        at: StepAt,
        meter: &mut dyn Meter,
    ) -> Result<StepMetrics, TrainError> {
        let mut shown = self.single.step(store, batch, at, meter)?;
        let step = at.batch / self.parts;
        self.seen.push(step);
        if (self.at)(step) {
            shown.loss *= f64::NAN;
        }
        if let Some((when, stop)) = self.stop
            && when == step
        {
            stop.ask();
        }
        Ok(shown)
    }

    fn first_not_finite(&self, store: &ParamStore, batch: &Batch) -> Result<Option<String>, TrainError> {
        self.single.first_not_finite(store, batch)
    }
}

struct Outcome {
    ended: Result<TrainOutcome, TrainError>,
    seen: Vec<u64>,
    flat: Tensor,
    statistic: Tensor,
}

/// Dropout draws from libtorch's one generator, which tests side by side would share.
static GENERATOR: Mutex<()> = Mutex::new(());

fn run(folder: &Path, plan: &TrainerConfig, broken: &dyn Fn(u64) -> bool, stop_at: Option<u64>) -> Outcome {
    let _alone = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    let (feed, stop) = (feed(plan.recipe.batch), Stop::never());
    let trainer = Trainer {
        config: plan,
        loader: &feed,
        checkpoint: folder.join("c.safetensors"),
        digest: "d".into(),
        clock: &WallClock::new(),
        stop: &stop,
        collective: &Local,
        log: Some(folder.join("c.jsonl")),
    };
    let (mut store, net) = small();
    let single = SingleNet { net: &net, objective: OBJECTIVE };
    let stop_at = stop_at.map(|s| (s, &stop));
    let parts = plan.recipe.grad_accum_steps.into();
    let mut lesson = Broken { single, at: broken, seen: vec![], stop: stop_at, parts };
    let ended = trainer.run(&mut store, &Progress::hidden(), &mut lesson);
    let statistic = store.entry("bn1.running_var").unwrap().tensor.copy();
    Outcome { ended, seen: lesson.seen, flat: store.flat().copy(), statistic }
}

fn never(_: u64) -> bool {
    false
}

fn recipes() -> Vec<TrainerConfig> {
    let sgd =
        || recipe::OptimizerConfig { sgd: Some(recipe::SgdConfig { momentum: 0.9, nesterov: true }), adamw: None };
    vec![
        plan(|_| {}),
        plan(|r| {
            r.optimizer = sgd();
            r.ema = Some(0.9);
            r.dropout = 0.1;
            r.head_dropout = 0.2;
            r.clip = ClipConfig { adaptive: Some(0.01), ..ClipConfig::default() };
        }),
        plan(|r| {
            r.grad_accum_steps = 2;
            r.ema = Some(0.5);
            r.epochs = 4.0;
            r.precision = recipe::Precision::Bfloat16;
        }),
    ]
}

#[test]
fn stopped_at_any_step_and_resumed_it_is_as_if_never_stopped() {
    for plan in recipes() {
        let whole = tempfile::tempdir().unwrap();
        let whole = run(whole.path(), &plan, &never, None);
        assert!(matches!(whole.ended, Ok(TrainOutcome::Done { steps: 8, skipped: 0, .. })), "{:?}", whole.ended);
        for stop in [0, 2, 3, 6] {
            let dir = tempfile::tempdir().unwrap();
            assert!(matches!(run(dir.path(), &plan, &never, Some(stop)).ended, Ok(TrainOutcome::Stopped)));
            let rest = run(dir.path(), &plan, &never, None);
            assert_eq!(rest.seen.first(), Some(&(stop + 1)));
            assert!(rest.flat.equal(&whole.flat) && rest.statistic.equal(&whole.statistic), "stopped at {stop}");
        }
    }
}

#[test]
fn parts_of_a_batch_add_up_to_its_gradients() {
    // A network without batch norms: they alone would see that the parts are smaller.
    let (mut store, net) = of("deit", &[("resolution", 32)]);
    let mut single = SingleNet { net: &net, objective: Objective { label_smoothing: 0.1, ..OBJECTIVE } };
    let whole = Batch::new(&feed(6).at(0).unwrap()).unwrap();
    let part = |from: i64, n: i64| Batch {
        images: whole.images.narrow(0, from, n),
        targets: Targets::Classes { labels: whole.targets.labels().unwrap().narrow(0, from, n), mixed: None },
    };
    let mut step = |store: &ParamStore, batch: &Batch, share: f64| {
        let at = StepAt { batch: 0, share };
        drop(single.step(store, batch, at, Classification.meter().as_mut()).unwrap());
    };
    step(&store, &part(0, 6), 1.0);
    let together = store.flat_grad().unwrap().copy();
    store.zero_grad();
    for from in [0, 3] {
        step(&store, &part(from, 3), 0.5);
    }
    let off = (store.flat_grad().unwrap() - &together).norm().double_value(&[]) / together.norm().double_value(&[]);
    assert!(off < 1e-5, "{off}");
}

#[test]
fn averaged_weights_are_what_is_left() {
    let (a, b, c) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let plain = run(a.path(), &plan(|_| {}), &never, None);
    let quick = run(b.path(), &plan(|r| r.ema = Some(1e-9)), &never, None);
    assert!(quick.flat.allclose(&plain.flat, 0.0, 1e-6, false));
    // As slow as the warm-up allows: the averages lag behind the weights, and have left the initial ones.
    let slow = run(c.path(), &plan(|r| r.ema = Some(0.999_999)), &never, None);
    let from = |a: &Tensor, b: &Tensor| (a - b).norm().double_value(&[]);
    let begin = small().0;
    let (behind, way) = (from(&slow.flat, &plain.flat), from(begin.flat(), &plain.flat));
    assert!(behind > 0.0 && behind < way, "{behind} of {way}");
    let initial = &begin.entry("bn1.running_var").unwrap().tensor;
    assert!(from(&slow.statistic, &plain.statistic) < 0.5 * from(initial, &plain.statistic));
}

#[test]
fn a_step_that_is_not_finite_is_left_out_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(|_| {});
    let outcome = run(dir.path(), &plan, &|s| s == 2 || s == 5 || s == 6, None);
    assert!(matches!(outcome.ended, Ok(TrainOutcome::Done { steps: 8, skipped: 3, .. })), "{:?}", outcome.ended);
    assert_eq!(outcome.seen, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert!(bool::try_from(outcome.flat.isfinite().all()).unwrap());
}

#[test]
fn too_many_in_a_row_go_back_once_to_the_epochs_begin() {
    let dir = tempfile::tempdir().unwrap();
    let (plan, times) = (plan(|_| {}), Cell::new(0));
    let fails = |s: u64| {
        times.set(times.get() + u32::from(s >= 5));
        s >= 5 && times.get() <= 3
    };
    let outcome = run(dir.path(), &plan, &fails, None);
    assert!(matches!(outcome.ended, Ok(TrainOutcome::Done { steps: 8, skipped: 3, .. })), "{:?}", outcome.ended);
    assert_eq!(outcome.seen, [0, 1, 2, 3, 4, 5, 6, 7, 4, 5, 6, 7]);
}

#[test]
fn going_back_and_being_stopped_at_any_step_leads_to_the_same_end() {
    let plan = plan(|r| r.max_nonfinite_steps = 2);
    // Steps 5 and 6 break at the full learning rate, and so the training goes back; then it holds. Whether it has gone back
    // shows in the step before: 4 follows on 6.
    let outcome = |stop: Option<u64>| {
        let dir = tempfile::tempdir().unwrap();
        let broke = Cell::new(0);
        let fails = |s: u64| {
            let fail = (s == 5 || s == 6) && broke.get() < 2;
            broke.set(broke.get() + u32::from(fail));
            fail
        };
        if stop.is_some() {
            assert!(matches!(run(dir.path(), &plan, &fails, stop).ended, Ok(TrainOutcome::Stopped)));
        }
        run(dir.path(), &plan, &fails, None)
    };
    let whole = outcome(None);
    assert!(matches!(whole.ended, Ok(TrainOutcome::Done { skipped: 2, .. })), "{:?}", whole.ended);
    for stop in [1, 4, 5, 6] {
        assert!(outcome(Some(stop)).flat.equal(&whole.flat), "stopped at {stop}");
    }
}

#[test]
fn the_second_time_it_stops_and_says_where_it_begins() {
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(|_| {});
    let outcome = run(dir.path(), &plan, &|s| s >= 2, None);
    insta::assert_snapshot!(outcome.ended.unwrap_err(), @"3 steps in a row were not finite, also with a lower learning rate (the last one: the loss of step 6 is NaN, expected a finite number); it begins at no tensor of the forward pass");
    // Back to the begin of the second epoch, which lies between the steps that were left out.
    assert_eq!(outcome.seen, [0, 1, 2, 3, 4, 4, 5, 6]);
    // A weight that is no number is named; every checkpoint is whole, and belongs to this training.
    let (mut store, net) = small();
    let _ = tch::no_grad(|| store.entry("blocks.1.0.bn1.weight").unwrap().tensor.shallow_clone().fill_(f64::NAN));
    let batch = Batch::new(&feed(2).at(0).unwrap()).unwrap();
    assert_eq!(crate::finite::first(&store).unwrap().as_deref(), Some("blocks.1.0.bn1.weight"));
    let single = SingleNet { net: &net, objective: OBJECTIVE };
    assert_eq!(single.first_not_finite(&store, &batch).unwrap().as_deref(), Some("blocks.1.0.bn1"));
    let optimizer = &mut Optimizer::new(&store, &plan.recipe).unwrap();
    let mut state = CheckpointTensors { store: &mut store, optimizer, ema: None };
    let files = CheckpointFiles::new(dir.path().join("c.safetensors"));
    assert!(files.load(&mut state, "d").is_ok());
    let other = files.load(&mut state, "another").unwrap_err().to_string();
    assert!(other.ends_with("belongs to another training"), "{other}");
}

#[test]
fn a_damaged_checkpoint_falls_back_to_the_one_before() {
    let plan = plan(|r| r.ema = Some(0.9));
    let whole = tempfile::tempdir().unwrap();
    let whole = run(whole.path(), &plan, &never, None);
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), &plan, &never, Some(5));
    let newest = dir.path().join("c.safetensors");
    let sound = fs::read(&newest).unwrap();
    let mut flipped = sound.clone();
    let middle = sound.len() / 2;
    flipped[middle] ^= 1;
    for damaged in [&flipped[..], &sound[..sound.len() / 3], &[]] {
        fs::write(&newest, damaged).unwrap();
        // What a writer that was killed leaves behind.
        fs::write(dir.path().join("c.next.safetensors.partial"), &sound[..100]).unwrap();
        let copy = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(dir.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
            }
        }
        let rest = run(copy.path(), &plan, &never, None);
        assert_eq!(rest.seen.first(), Some(&5), "step 5 is done again, from the checkpoint before it");
        assert!(rest.flat.equal(&whole.flat));
    }
    // Killed between the two renames: the newest is gone.
    fs::remove_file(&newest).unwrap();
    let rest = run(dir.path(), &plan, &never, None);
    assert!(rest.flat.equal(&whole.flat));
}
