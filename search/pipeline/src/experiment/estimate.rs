//! How long a search will take, and what step one found out, in words.

use std::sync::Arc;

use mobilenas_host::Clock;
use mobilenas_space::seed::{Purpose, rng};
use mobilenas_space::{CostCache, Genome};
use mobilenas_task::Batch;
use mobilenas_torch::{Names, Net, Owned, ParamStore, device};
use mobilenas_train::single_net::{Objective, SingleNet};
use mobilenas_train::{TrainError, TrainStep as _, trainer::StepAt};
use tch::{Device, Kind, Tensor};

use super::{Experiment, ExperimentError};

/// Seconds that an estimate may take.
pub const BUDGET: f64 = 15.0;

/// Share of the budget for steps of a single network; the supernet's have the rest.
const SINGLE: f64 = 0.35;

/// Images in the smallest step: a batch norm needs two.
const FEWEST: usize = 2;

/// Share of the time that small steps let expect, which an estimate of it may take.
const WORTH: f64 = 0.02;

/// Bytes that feature maps of a timed step may take, about.
const MEMORY: u64 = 1 << 29;

/// Bytes that training keeps for each element that the cost counts as an activation: it counts no norms and no sums, and a
/// gradient comes beside each.
const BYTES: u64 = 16;

/// Images of the largest step to time.
fn largest_step(batch: usize, images: usize, activations: u64) -> usize {
    let fit = usize::try_from(MEMORY / (activations * BYTES).max(1)).unwrap_or(usize::MAX);
    batch.min(images).min(fit).max(FEWEST)
}

/// Seconds for each image of a step: a small step tells how large one may be, up to `largest`, to end within the budget.
/// The first of a size also makes ready what later ones find ready, so the last size is timed once more. Of so many `images`
/// in all none is timed for longer than their estimate is worth.
fn seconds_per_image(
    clock: &dyn Clock,
    budget: f64,
    (largest, images): (usize, f64),
    step: &mut dyn FnMut(usize) -> Result<(), TrainError>,
) -> Result<f64, TrainError> {
    let (begin, mut n, mut again) = (clock.now(), FEWEST.min(largest), false);
    let mut timed = |n: usize| -> Result<f64, TrainError> {
        let before = clock.now();
        step(n)?;
        Ok((clock.now() - before).as_secs_f64())
    };
    // The first of all takes longer than what comes after it, and says nothing but when no other has time.
    let first = timed(n)?;
    if 2.0 * first > budget {
        return Ok(first / n as f64);
    }
    loop {
        let seconds = timed(n)?;
        let worth = WORTH * seconds / n as f64 * images;
        let left = budget.min(worth) - (clock.now() - begin).as_secs_f64();
        // The largest step that fits with its repetition; small steps cost more for each image, so it takes no longer.
        let next = ((n as f64 * left / (2.0 * seconds.max(1e-9))) as usize).min(largest);
        if !again && next > n {
            n = next;
        } else if !again && seconds <= left {
            again = true;
        } else {
            return Ok(seconds / n as f64);
        }
    }
}

/// How winners and variants are trained.
#[derive(Clone, Copy, Debug)]
struct Trainings {
    /// How many, at most.
    all: usize,
    /// Side by side.
    workers: usize,
    /// Threads of each.
    threads: u32,
}

impl Trainings {
    /// Seconds of all where each takes so many: as if those side by side did not slow each other down.
    fn seconds(self, each: f64) -> f64 {
        each * self.all.div_ceil(self.workers.max(1)) as f64
    }

    /// What an estimate assumes, for people.
    fn in_words(self) -> String {
        let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let all = plural(self.all, "training");
        match self.workers {
            1 => all,
            n => {
                let threads = plural(self.threads as usize, "thread");
                format!("{all}, {n} side by side with {threads} each, as if they did not slow each other down")
            }
        }
    }
}

impl Experiment {
    /// Trainings of a search with so many published variants.
    fn trainings(&self, published: usize) -> Trainings {
        let retrain = &self.config.retrain;
        let all = (retrain.best + retrain.best.min(published)) * retrain.seeds + self.config.search.landmarks;
        Trainings { all, workers: retrain.workers, threads: self.config.retrain_threads() }
    }

    /// Published variants that found networks stand against.
    pub(super) fn published(&self) -> usize {
        let all = self.space.family().variants().into_iter();
        all.filter(|v| self.config.retrain.variants && self.space.variant(v.id).is_ok()).count()
    }

    /// Estimated seconds of supernet training, search, fine-tuning and retraining. A few small steps are timed on noise, for about so many
    /// seconds.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn estimate(&self, clock: &dyn Clock, budget: f64) -> Result<[f64; 3], ExperimentError> {
        self.estimate_with(clock, budget, self.published())
    }

    /// The same of a search with so many published variants, all of whose trials and winners are of this space.
    pub(super) fn estimate_with(
        &self,
        clock: &dyn Clock,
        budget: f64,
        published: usize,
    ) -> Result<[f64; 3], ExperimentError> {
        let (c, images) = (&self.config, self.split.train.len());
        let (wide, narrow) = (&c.supernet.recipe, &c.retrain.recipe);
        let mut costs = CostCache::new();
        let typical = self.space.sample(&mut rng(c.seed, Purpose::Subnets, 0, 0));
        let cost = self.space.cost(&typical, &mut costs)?;
        let largest = largest_step(narrow.batch, images, cost.activations);
        let trainings = self.trainings(published);
        let other = trainings.all > 0 && trainings.threads != c.threads;
        let budget_of_one = budget * SINGLE / if other { 2.0 } else { 1.0 };
        let scored = c.scoring.images.unwrap_or(usize::MAX).min(c.data.search_val) + c.scoring.recalibrate;
        let seen = trainings.all as f64 * narrow.epochs * images as f64 + c.search.trials as f64 * scored as f64 / 3.0;
        let timed = || seconds_per_image(clock, budget_of_one, (largest, seen), &mut self.single_step(&typical)?);
        let single = timed()?;
        let mut alone = single;
        if other {
            tch::set_num_threads(trainings.threads as i32);
            let found = timed();
            tch::set_num_threads(c.threads as i32);
            alone = found?;
        }
        let loader = self.supernet_loader()?;
        let mut supernet = self.supernet(&self.config.supernet, &loader).at_any_side(false);
        let (mut macs, mut activations) = (0, 0);
        for genome in supernet.genomes(1) {
            let cost = self.space.cost(&genome, &mut costs)?;
            (macs, activations) = (macs + cost.macs, activations.max(cost.activations));
        }
        // As far as operations tell; where even the smallest step would take too long, nothing else does.
        let expected = single * macs as f64 / cost.macs.max(1) as f64;
        let budget = budget * (1.0 - SINGLE);
        let one = if 2.0 * expected * FEWEST as f64 > budget {
            expected
        } else {
            let (store, mut at) = (self.initial_supernet()?, 0);
            let mut step = |n: usize| {
                at += 1;
                let (batch, at) = (self.noise(n)?, StepAt { batch: at, share: 1.0 });
                supernet.step(&store, &batch, at, self.task.training_meter().as_mut())?;
                device::wait(self.device);
                Ok(())
            };
            let largest = largest_step(wide.batch, images, activations);
            seconds_per_image(clock, budget, (largest, wide.epochs * images as f64), &mut step)?
        };
        // A pass forwards costs about a third of a training step on the same images.
        let forward = single / 3.0 * scored as f64;
        let measured = if self.table.is_some() { 0.0 } else { 1.0 };
        let timed = measured * (c.latency.warmup_ms + c.latency.max_ms) as f64 / 1e3;
        // Fine-tunings are trainings of some steps.
        let tuned = c.search.finetune.as_ref().map_or(0.0, |f| {
            let all = f.candidates as f64 + published as f64;
            all / trainings.workers as f64 * alone * (f.steps * narrow.batch as u64) as f64
        });
        Ok([
            one * wide.epochs * images as f64,
            (forward + timed) * c.search.trials as f64,
            trainings.seconds(alone * narrow.epochs * images as f64) + tuned,
        ])
    }

    /// Estimated seconds and what they assume, for people.
    pub(super) fn estimate_in_words(&self, estimate: [f64; 3], published: usize) -> String {
        let ([supernet, search, retrain], assumed) = (estimate.map(|s| s / 60.0), self.trainings(published).in_words());
        format!("supernet {supernet:.1} min, search {search:.1} min, retraining {retrain:.1} min ({assumed})")
    }

    /// A training step of one network on so many images.
    fn single_step(
        &self,
        genome: &Genome,
    ) -> Result<impl FnMut(usize) -> Result<(), TrainError> + use<'_>, TrainError> {
        let graph = Arc::new(self.space.lower(genome)?);
        let store = ParamStore::init(&graph, Names::Standalone, 0, self.device)?;
        let net = Net::bind(graph, &Owned(&store))?;
        Ok(move |n: usize| {
            let objective = Objective { task: self.task, label_smoothing: 0.0, teacher: None };
            let (batch, at) = (self.noise(n)?, StepAt { batch: 0, share: 1.0 });
            let mut single = SingleNet { net: &net, objective };
            single.step(&store, &batch, at, self.task.training_meter().as_mut())?;
            device::wait(self.device);
            Ok(())
        })
    }

    fn noise(&self, n: usize) -> Result<Batch, TrainError> {
        let (channels, h, w) = self.train.shape(None);
        let (size, options) = ([n, channels, h, w].map(|d| d as i64), (Kind::Float, Device::Cpu));
        let images = Tensor::f_rand(size, options).map_err(TrainError::torch)?;
        let targets = self.task.example(n, (w, h))?;
        Ok(Batch { images, targets }.to(self.device)?)
    }

    /// Size and range of the space, for people.
    pub(super) fn space_in_words(&self, name: &str, more: &str) -> String {
        let [low, high] = self.range;
        let free: Vec<String> = self
            .space
            .knobs()
            .iter()
            .filter(|k| k.choices.len() > 1)
            .map(|k| format!("  {:<18} {:?}", k.name, k.choices))
            .collect();
        format!(
            "{name}: {:.3e} networks of {}{more}\n{}\nparams {} to {}, MACs {} to {}",
            self.space.size(),
            self.space.family().name(),
            free.join("\n"),
            low.params,
            high.params,
            low.macs,
            high.macs,
        )
    }

    /// What step one found out, for people.
    pub fn summary(&self) -> String {
        let c = &self.config;
        format!("{}\n{}", self.space_in_words(c.name(), &format!(", seed {}", c.seed)), self.data_in_words())
    }

    /// The images, for people.
    pub(super) fn data_in_words(&self) -> String {
        let mut out = format!(
            "data {}: train {}, search-val {}, test {}",
            self.config.data.name.as_str(),
            self.split.train.len(),
            self.split.search_val.indices().len(),
            self.test_split.indices().len(),
        );
        self.notes.iter().for_each(|note| out.push_str(&format!("\n{note}")));
        out
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use mobilenas_host::FakeClock;

    use super::*;

    /// The steps that are timed, and the estimate for an image, where a step takes `overhead + each * n` seconds.
    fn timed(overhead: f64, each: f64, budget: f64, largest: usize) -> (Vec<usize>, f64, f64) {
        let (clock, mut steps) = (FakeClock::default(), Vec::new());
        let found = seconds_per_image(&clock, budget, (largest, 1e9), &mut |n| {
            clock.advance(Duration::from_secs_f64(overhead + each * n as f64));
            steps.push(n);
            Ok(())
        });
        (steps, found.unwrap(), clock.now().as_secs_f64())
    }

    #[test]
    fn steps_grow_to_the_batch_where_there_is_time() {
        let (steps, found, _) = timed(0.0, 0.001, 10.0, 128);
        assert_eq!(steps, [2, 2, 128, 128]);
        assert!((found - 0.001).abs() < 1e-9);
        assert_eq!(timed(0.0, 0.001, 10.0, 2).0, [2, 2, 2]);
    }

    #[test]
    fn what_the_first_step_makes_ready_is_not_counted() {
        let (clock, mut steps) = (FakeClock::default(), Vec::new());
        let found = seconds_per_image(&clock, 10.0, (128, 1e9), &mut |n| {
            let ready = if steps.is_empty() { 4.0 } else { 0.0 };
            clock.advance(Duration::from_secs_f64(ready + 0.01 * n as f64));
            steps.push(n);
            Ok(())
        });
        assert_eq!(steps, [2, 2, 128, 128]);
        assert!((found.unwrap() - 0.01).abs() < 1e-9);
    }

    #[test]
    fn an_estimate_of_little_work_is_short() {
        let (clock, mut steps) = (FakeClock::default(), Vec::new());
        let found = seconds_per_image(&clock, 10.0, (128, 1000.0), &mut |n| {
            clock.advance(Duration::from_secs_f64(0.01 + 0.001 * n as f64));
            steps.push(n);
            Ok(())
        });
        // Two steps of two images let expect six seconds, of which an estimate may take 0.12.
        assert_eq!((steps, found.unwrap()), (vec![2, 2, 8], 0.00225));
        assert!(clock.now().as_secs_f64() < 0.12);
    }

    #[test]
    fn no_step_is_begun_that_would_pass_the_budget() {
        let (steps, found, took) = timed(0.0, 0.3, 10.0, 128);
        assert_eq!(steps, [2, 2, 14, 14]);
        assert!((found - 0.3).abs() < 1e-9 && took <= 10.0, "{took}");
        // The smallest step alone takes longer.
        let (steps, found, _) = timed(0.0, 20.0, 10.0, 128);
        assert_eq!((steps, found), (vec![2], 20.0));
        for each in [0.01, 0.07, 0.4, 1.1, 2.4] {
            assert!(timed(0.05, each, 10.0, 4096).2 <= 10.0, "{each}");
        }
    }

    #[test]
    fn trainings_side_by_side_take_as_long_as_those_of_one_worker() {
        let of = |all, workers| Trainings { all, workers, threads: 1 };
        let seconds = [(4, 1), (4, 2), (5, 2), (4, 9), (0, 2)].map(|(all, workers)| of(all, workers).seconds(10.0));
        assert_eq!(seconds, [40.0, 20.0, 30.0, 10.0, 0.0]);
        assert_eq!(of(4, 1).in_words(), "4 trainings");
        let said = "1 training, 2 side by side with 1 thread each, as if they did not slow each other down";
        assert_eq!(of(1, 2).in_words(), said);
    }

    #[test]
    fn a_timed_step_holds_no_more_images_than_training_and_memory_do() {
        assert_eq!(largest_step(8192, 256, 1000), 256);
        assert_eq!(largest_step(64, 1000, 1000), 64);
        // Sixteen MiB of activations an image.
        assert_eq!(largest_step(60_000, 60_000, 1 << 20), 32);
        assert_eq!(largest_step(64, 1000, u64::MAX / BYTES), 2);
    }
}
