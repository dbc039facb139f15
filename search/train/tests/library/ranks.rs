//! Several ranks train what one trains. Here they are threads of one process, each with a connection of its own.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use mobilenas_data::dataset::{Dataset, ImageSource, InMemoryImages};
use mobilenas_data::loader::{LoaderConfig, Normalization, Sampler, TransformedDataset};
use mobilenas_data::transform::Augment;
use mobilenas_data::transform::mix::Mix;
use mobilenas_data::{DataLoader, Target};
use mobilenas_host::{Progress, Stop, WallClock};
use mobilenas_space::{Space, SpaceConfig};
use mobilenas_task::{Batch, Classification, Meter, Task};
use mobilenas_torch::{Names, Net, Owned, ParamStore, Values};
use mobilenas_train::collective::{Collective, Gloo, Local, Ranks};
use mobilenas_train::recipe::{ClipConfig, OptimizerConfig, Recipe, SgdConfig};
use mobilenas_train::reduction::{average_statistics, broadcast_store};
use mobilenas_train::settings::SupernetConfig;
use mobilenas_train::supernet::Supernet;
use mobilenas_train::trainer::StepAt;
use mobilenas_train::{StepMetrics, TrainError, TrainOutcome, TrainStep, Trainer, TrainerConfig, single_net};
use tch::{Device, Kind, Tensor};

/// Images in a step of all ranks together.
const BATCH: usize = 16;
/// Steps in all: three epochs of four.
const STEPS: u64 = 12;

/// Runs some work on ranks; results in their order.
pub fn on_ranks<T: Send>(ranks: usize, work: impl Fn(&dyn Collective) -> T + Sync) -> Vec<T> {
    tch::set_num_threads(1);
    if ranks == 1 {
        return vec![work(&Local)];
    }
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let one = |rank| {
        let local_rank = Some(rank);
        let of = Ranks { rank, ranks, local_rank, address: "127.0.0.1".into(), port, agent: None };
        // One each, as where every rank is a process on a core of its own.
        tch::set_num_threads(1);
        let gloo = Gloo::join(&of).unwrap();
        let out = work(&gloo);
        gloo.leave().unwrap();
        out
    };
    thread::scope(|scope| {
        let all: Vec<_> = (0..ranks).map(|rank| scope.spawn(move || one(rank))).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Sixty-four images, coarse enough that batch norms do not amplify rounding.
fn loader(mix: bool) -> DataLoader {
    let level = |i: u32, y: u32, x: u32| (i * 37 + (y / 4) * 53 * (1 + i % 3) + (x / 4) * 29 * (1 + i % 5)) % 256;
    let pixels = |i| (0..32 * 32u32).map(move |p| level(i, p / 32, p % 32) as u8);
    let pixels = (0..64).flat_map(pixels).collect();
    let images = ImageSource::Memory(InMemoryImages { n: 64, height: 32, width: 32, channels: 1, pixels });
    let classes = ["a", "b", "c", "d"].map(str::to_string).to_vec();
    let data =
        Dataset { images, targets: (0..64).map(|i| Target::Class(i % 4)).collect(), classes, ..Dataset::default() };
    let view = TransformedDataset::new(data.into(), Normalization::grey(0.5, 0.3), 0.0);
    let mix = mix.then_some(Mix { mixup: 0.8, cutmix: 1.0, switch: 0.5 });
    let sampler = Sampler { batch: BATCH, repeats: 1, scale: None };
    let how =
        LoaderConfig { augment: Augment { mix, ..Augment::default() }, sampler, label_smoothing: 0.1, threads: 1 };
    DataLoader::new(view, &(0..64).collect::<Vec<_>>(), how, 1).unwrap()
}

/// MobileViTs: their activations are smooth. Where they have kinks, as in MobileNetV2, twenty steps make 8e-2 of a change by
/// 1e-7 in the weights that one process begins with.
fn space(knobs: &[(&str, Vec<i64>)]) -> Space {
    let knobs = knobs.iter().map(|(k, v)| (k.to_string(), v.clone())).collect();
    let design = SpaceConfig { family: "mobilevit_v1".into(), width: 0.25, divisor: 8, knobs, classes: 4 };
    Space::new(&design).unwrap_or_else(|e| panic!("{e:?}"))
}

/// SGD: Adam divides by the size of gradients, and so makes whole steps of the rounding of those that are zero.
fn recipe(change: impl FnOnce(&mut Recipe)) -> Recipe {
    let sgd = SgdConfig { momentum: 0.9, nesterov: false };
    let mut recipe = Recipe {
        epochs: 3.0,
        batch: BATCH,
        lr: 0.005,
        optimizer: OptimizerConfig { sgd: Some(sgd), adamw: None },
        clip: ClipConfig { norm: Some(5.0), ..ClipConfig::default() },
        sync_batch_norms: true,
        ema: Some(0.9),
        ..Recipe::default()
    };
    change(&mut recipe);
    recipe
}

/// What a training leaves.
#[derive(Debug, PartialEq)]
struct Trained {
    outcome: TrainOutcome,
    flat: Tensor,
    statistics: Tensor,
}

impl Trained {
    fn of(outcome: TrainOutcome, store: &ParamStore) -> Trained {
        let statistics: Vec<Tensor> = store.statistics().map(|(_, t)| t.reshape([-1])).collect();
        // Seconds are no part of what was learnt.
        let outcome = match outcome {
            TrainOutcome::Done { steps, skipped, .. } => TrainOutcome::Done { steps, loss: 0.0, seconds: 0.0, skipped },
            TrainOutcome::Stopped => TrainOutcome::Stopped,
        };
        Trained { outcome, flat: store.flat().copy(), statistics: Tensor::cat(&statistics, 0) }
    }

    /// How far it is from another one, relative to its size.
    fn off(&self, other: &Trained) -> f64 {
        assert_eq!(self.outcome, other.outcome);
        let pairs = [(&self.flat, &other.flat), (&self.statistics, &other.statistics)];
        let off = |(a, b): (&Tensor, &Tensor)| (a - b).norm().double_value(&[]) / b.norm().double_value(&[]);
        pairs.map(off).into_iter().fold(0.0, f64::max)
    }
}

/// How a training is made: what is trained, on which images, and where it stops.
#[derive(Clone, Copy)]
struct Training<'a> {
    supernet: bool,
    mix: bool,
    folder: &'a Path,
    /// Step and rank that is asked to stop at it.
    stop: Option<(u64, usize)>,
    recipe: &'a Recipe,
}

impl Training<'_> {
    fn run(self, collective: &dyn Collective) -> Trained {
        let (loader, stop, clock) = (loader(self.mix), Stop::never(), WallClock::new());
        let config = TrainerConfig { recipe: self.recipe.clone(), seed: 1, checkpoint_every: 0.0 };
        let trainer = Trainer {
            config: &config,
            loader: &loader,
            checkpoint: self.folder.join("c.safetensors"),
            digest: "d".into(),
            clock: &clock,
            stop: &stop,
            collective,
            log: Some(self.folder.join("c.jsonl")),
        };
        let bar = Progress::hidden();
        let stops = self.stop.filter(|(_, rank)| *rank == collective.rank()).map(|(step, _)| (step, &stop));
        if self.supernet {
            // Shallow: what ranks share out does not depend on the depth.
            let space = space(&[
                ("resolution", vec![24, 32]),
                ("stages.1.depth", vec![1, 2]),
                ("stages.2.depth", vec![1]),
                ("stages.3.depth", vec![1, 2]),
                ("stages.4.depth", vec![1]),
                ("head.width", vec![80, 96]),
            ]);
            let settings =
                SupernetConfig { recipe: self.recipe.clone(), random_subnets: 0, ..SupernetConfig::default() };
            let supernet = Supernet::new(&space, &settings, &Classification, (1, STEPS)).among(collective);
            let mut store = supernet.store(Values::Initial(1), Device::Cpu).unwrap();
            let ended = trainer.run(&mut store, &bar, &mut Stopping { of: supernet, stops });
            return Trained::of(ended.unwrap(), &store);
        }
        let space = space(&[("resolution", vec![32])]);
        let graph = Arc::new(space.lower(&space.smallest()).unwrap());
        let mut store = ParamStore::init(&graph, Names::Standalone, 1, Device::Cpu).unwrap();
        let lower = |side| space.lower_at(&space.smallest(), side);
        assert!(self.stop.is_none(), "only supernets are stopped here");
        let ended = single_net::train(&trainer, &mut store, &bar, &graph, (&Classification, None), &lower);
        Trained::of(ended.unwrap(), &store)
    }

    fn on(self, ranks: usize) -> Trained {
        let mut all = on_ranks(ranks, |collective| self.run(collective));
        let first = all.remove(0);
        for other in all {
            assert!(other == first, "all of {ranks} ranks have the same bits");
        }
        first
    }
}

/// A supernet whose training is asked to stop at a step.
struct Stopping<'a> {
    of: Supernet<'a>,
    stops: Option<(u64, &'a Stop)>,
}

impl TrainStep for Stopping<'_> {
    fn task(&self) -> &'static dyn Task {
        self.of.task()
    }

    fn step(
        &mut self,
        store: &ParamStore,
        batch: &Batch,
        at: StepAt,
        meter: &mut dyn Meter,
    ) -> Result<StepMetrics, TrainError> {
        if let Some((_, stop)) = self.stops.filter(|(step, _)| *step == at.batch) {
            stop.ask();
        }
        self.of.step(store, batch, at, meter)
    }

    fn first_not_finite(&self, store: &ParamStore, batch: &Batch) -> Result<Option<String>, TrainError> {
        self.of.first_not_finite(store, batch)
    }
}

/// The sums of float32 numbers in another order: about 1e-7 of each, and twelve steps.
const ROUNDING: f64 = 1e-5;

#[test]
fn ranks_with_parts_of_a_batch_train_what_one_trains_with_all_of_it() {
    parts_of_a_batch(&[(false, false, 2, 2), (false, true, 2, 0), (true, false, 2, 0)]);
}

#[test]
#[ignore = "takes a minute; `cargo xtask test --cluster` runs it"]
fn cluster_four_ranks_train_what_one_trains() {
    parts_of_a_batch(&[(false, false, 4, 4), (true, false, 4, 4)]);
    go_on_on_others(&[(1, 3), (2, 4), (4, 2)]);
}

/// Trains a single net or a supernet, on images mixed or not, on one rank and on 2 and 4 up to the first number; twice up to
/// the second one.
fn parts_of_a_batch(all: &[(bool, bool, usize, usize)]) {
    let recipe = recipe(|_| ());
    for &(supernet, mix, most, twice) in all {
        let trained = |ranks| {
            let dir = tempfile::tempdir().unwrap();
            Training { supernet, mix, folder: dir.path(), stop: None, recipe: &recipe }.on(ranks)
        };
        let one = trained(1);
        assert!(matches!(one.outcome, TrainOutcome::Done { steps: STEPS, skipped: 0, .. }), "{:?}", one.outcome);
        for ranks in [2, 4].into_iter().filter(|ranks| *ranks <= most) {
            let several = trained(ranks);
            let off = several.off(&one);
            println!("supernet {supernet}, mixed {mix}, {ranks} ranks: {off:.1e} off");
            assert!(off < ROUNDING, "supernet {supernet}, mixed {mix}, {ranks} ranks: {off:.1e} off");
            assert!(ranks > twice || trained(ranks) == several, "two runs on {ranks} ranks have the same bits");
        }
    }
}

#[test]
fn batch_norms_of_a_rank_alone_see_fewer_images_and_their_statistics_are_averaged() {
    let trained = |sync: bool, ranks| {
        let (dir, recipe) = (tempfile::tempdir().unwrap(), recipe(|r| r.sync_batch_norms = sync));
        Training { supernet: false, mix: false, folder: dir.path(), stop: None, recipe: &recipe }.on(ranks)
    };
    let alone = trained(false, 1);
    assert!(alone == trained(true, 1), "one rank has nobody to synchronise with");
    // The same bits on all ranks are checked for each training; they are others than those of one rank.
    let off = trained(false, 2).off(&alone);
    assert!(off > 10.0 * ROUNDING, "{off:.1e} off");
}

#[test]
fn a_checkpoint_of_some_ranks_goes_on_on_others() {
    go_on_on_others(&[(2, 1)]);
}

/// Trainings that stop on some ranks and go on on others.
fn go_on_on_others(all: &[(usize, usize)]) {
    let recipe = recipe(|_| ());
    let whole = tempfile::tempdir().unwrap();
    let training = Training { supernet: true, mix: false, folder: whole.path(), stop: None, recipe: &recipe };
    let whole = training.on(1);
    for &(before, after) in all {
        let dir = tempfile::tempdir().unwrap();
        let begins = Training { folder: dir.path(), ..training };
        // The last rank alone is asked; all stop at that step.
        let stopped = Training { stop: Some((5, before - 1)), ..begins }.on(before);
        assert_eq!(stopped.outcome, TrainOutcome::Stopped);
        let off = begins.on(after).off(&whole);
        assert!(off < ROUNDING, "{before} ranks, then {after}: {off:.1e} off");
    }
    let (dir, again) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (through, stopped) =
        (Training { folder: dir.path(), ..training }, Training { folder: again.path(), ..training });
    drop(Training { stop: Some((4, 0)), ..stopped }.on(2));
    assert!(stopped.on(2) == through.on(2), "on the same ranks it is bit for bit as if never stopped");
}

#[test]
fn too_few_images_for_the_ranks_are_told() {
    let (dir, recipe) = (tempfile::tempdir().unwrap(), recipe(|_| ()));
    let loader = loader(false);
    assert_eq!((loader.smallest_share(4), loader.smallest_share(12)), (4, 1));
    let stop = Stop::never();
    let config = TrainerConfig { recipe, seed: 1, checkpoint_every: 0.0 };
    let trainer = Trainer {
        config: &config,
        loader: &loader,
        checkpoint: dir.path().join("c.safetensors"),
        digest: "d".into(),
        clock: &WallClock::new(),
        stop: &stop,
        collective: &Many,
        log: None,
    };
    let space = space(&[("resolution", vec![32])]);
    let graph = Arc::new(space.lower(&space.smallest()).unwrap());
    let mut store = ParamStore::init(&graph, Names::Standalone, 1, Device::Cpu).unwrap();
    let lower = |side| space.lower_at(&space.smallest(), side);
    let ended = single_net::train(&trainer, &mut store, &Progress::hidden(), &graph, (&Classification, None), &lower);
    let expected = "a step has too few images for 12 ranks: found 1 on one of them, expected at least 2";
    assert_eq!(ended.unwrap_err().to_string(), expected);
}

/// The first of twelve ranks, which never hears of the others.
#[derive(Debug)]
struct Many;

impl Collective for Many {
    fn rank(&self) -> usize {
        0
    }

    fn ranks(&self) -> usize {
        12
    }

    fn local_rank(&self) -> usize {
        0
    }

    fn all_reduce(&self, _: &Tensor) -> Result<(), mobilenas_train::collective::CollectiveError> {
        unreachable!("nothing is summed")
    }

    fn broadcast(&self, _: &Tensor) -> Result<(), mobilenas_train::collective::CollectiveError> {
        unreachable!("nothing is told")
    }

    fn lead(&self, _: &str) {}

    fn follow(&self) -> Option<String> {
        None
    }

    fn answer(&self, _: &str) {}

    fn answers(&self) -> Vec<String> {
        Vec::new()
    }

    fn group(&self) -> Option<&Arc<mobilenas_torch::ProcessGroup>> {
        None
    }
}

/// Statistics of three batches, which ranks take in turn, are those of one rank, and a rank without a batch counts for
/// nothing. A store becomes that of rank 0.
#[test]
fn ranks_share_the_batches_of_a_recalibration() {
    let space = space(&[("resolution", vec![32])]);
    let graph = Arc::new(space.lower(&space.smallest()).unwrap());
    let images = |n: i64| Tensor::arange(8 * 3 * 32 * 32, (Kind::Float, Device::Cpu)).g_add_scalar(n * 31) * 0.37;
    let statistics = |ranks: usize| {
        on_ranks(ranks, |collective| {
            let store = ParamStore::init(&graph, Names::Standalone, collective.rank() as u64, Device::Cpu).unwrap();
            broadcast_store(collective, &store).unwrap();
            let net = Net::bind(graph.clone(), &Owned(&store)).unwrap();
            let batches: Vec<Tensor> = (1..=3).map(|n| images(n).sin().reshape([8, 3, 32, 32]) * n as f64).collect();
            let own = || batches.iter().skip(collective.rank()).step_by(collective.ranks());
            net.recalibrate(own()).unwrap();
            average_statistics(collective, &net, own().count()).unwrap();
            let counts = |name: &String| name.ends_with("num_batches_tracked");
            store.statistics().filter(|(name, _)| !counts(name)).map(|(_, t)| t.reshape([-1])).collect::<Vec<_>>()
        })
    };
    let one = Tensor::cat(&statistics(1)[0], 0);
    for ranks in [2, 4] {
        for (rank, all) in statistics(ranks).iter().enumerate() {
            let error = f64::try_from((Tensor::cat(all, 0) - &one).abs().max()).unwrap();
            let most = f64::try_from(one.abs().max()).unwrap();
            assert!(error <= 1e-5 * most, "rank {rank} of {ranks}: {error} of {most}");
        }
    }
}
