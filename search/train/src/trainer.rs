//! The loop that all trainings share: steps, schedule, averaged weights, checkpoints, early ends.

use std::path::PathBuf;

use mobilenas_data::loader::Share;
use mobilenas_data::{DataLoader, Prefetcher};
use mobilenas_host::{Clock, Progress, Stop};
use mobilenas_space::seed::{Purpose, number};
use mobilenas_task::{Batch, Meter, Task, TaskError};
use mobilenas_torch::{ParamStore, keep_freed_memory};
use tch::Tensor;

use crate::checkpoint::{CheckpointFiles, CheckpointTensors, TrainState};
use crate::collective::{Collective, CollectiveError};
use crate::ema::Ema;
use crate::metrics_log::{MetricsLog, MetricsRow};
use crate::optimizer::Optimizer;
use crate::recipe::Recipe;
use crate::reduction::{StepSums, reduce};
use crate::schedule::Schedule;
use crate::{TrainError, finite};

/// How something is trained.
#[derive(Clone, Debug)]
pub struct TrainerConfig {
    /// The recipe.
    pub recipe: Recipe,
    /// Seed of everything random in it.
    pub seed: u64,
    /// Seconds between checkpoints.
    pub checkpoint_every: f64,
}

/// What a step tells of its batch.
#[derive(Debug)]
pub struct StepMetrics {
    /// The loss, one number.
    pub loss: Tensor,
}

/// What is trained: one network, or a supernet by one of its rules.
pub trait TrainStep {
    /// The task.
    fn task(&self) -> &'static dyn Task;

    /// Adds the gradients of one batch, times `share`, to the store's tensors, and counts the batch's metrics.
    ///
    /// # Errors
    /// When libtorch refuses.
    fn step(
        &mut self,
        store: &ParamStore,
        batch: &Batch,
        at: StepAt,
        meter: &mut dyn Meter,
    ) -> Result<StepMetrics, TrainError>;

    /// The path of the first operation whose output is not finite on a batch, if one can be found.
    ///
    /// # Errors
    /// When libtorch refuses.
    fn first_not_finite(&self, store: &ParamStore, batch: &Batch) -> Result<Option<String>, TrainError>;
}

/// Which batch of a training a step is given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepAt {
    /// Counts batches from 0; with gradient accumulation several make one step of the optimizer.
    pub batch: u64,
    /// Its share in the gradient of the optimizer's step.
    pub share: f64,
}

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TrainOutcome {
    /// All steps are done.
    Done {
        /// Steps.
        steps: u64,
        /// Running mean of the loss.
        loss: f64,
        /// Seconds, resumed parts together.
        seconds: f64,
        /// Steps skipped because something was not finite.
        skipped: u64,
    },
    /// It was asked to stop; the checkpoint holds what was reached.
    Stopped,
}

/// A training under way.
pub struct Trainer<'a> {
    /// How.
    pub config: &'a TrainerConfig,
    /// On what.
    pub loader: &'a DataLoader,
    /// Where the newest checkpoint goes.
    pub checkpoint: PathBuf,
    /// Digest of what is trained and how.
    pub digest: String,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Whether to stop.
    pub stop: &'a Stop,
    /// The processes that train together. The first alone reads and writes files.
    pub collective: &'a dyn Collective,
    /// Where the metrics log goes.
    pub log: Option<PathBuf>,
}

/// The learning rate of a training that was rolled back, over that of its recipe.
const LOWER: f64 = 0.5;

/// Share of a new step in the running means that are shown.
const NEW: f64 = 0.02;

/// What changes from step to step.
struct Progressing<'s> {
    store: &'s mut ParamStore,
    optimizer: Optimizer,
    ema: Option<Ema>,
    state: TrainState,
}

impl Progressing<'_> {
    fn tensors(&mut self) -> CheckpointTensors<'_> {
        CheckpointTensors { store: self.store, optimizer: &mut self.optimizer, ema: self.ema.as_mut() }
    }

    fn save(&mut self, files: &CheckpointFiles, epoch_begins: bool, leads: bool) -> Result<(), TrainError> {
        if !leads {
            return Ok(());
        }
        let state = self.state.clone();
        files.save(self.tensors(), &state, epoch_begins)
    }
}

/// Batches as tensors, made ahead.
type Batches = Prefetcher<Result<Batch, TaskError>>;

/// What came of a step.
enum Step {
    Taken {
        sums: StepSums,
        lr: f64,
    },
    /// Nothing has changed; what was not finite, and whether to stop.
    Skipped(TrainError, bool),
}

impl Trainer<'_> {
    /// Trains. With averaged weights, those are what the store holds in the end.
    ///
    /// # Errors
    /// When the training diverges for the second time, the disk refuses, or libtorch does.
    pub fn run(
        &self,
        store: &mut ParamStore,
        bar: &Progress,
        train_step: &mut dyn TrainStep,
    ) -> Result<TrainOutcome, TrainError> {
        keep_freed_memory();
        let (recipe, leads) = (&self.config.recipe, self.collective.leads());
        self.check_shares()?;
        // An epoch is a pass over the images, whatever share of a step its end would be.
        let per_epoch = self.loader.steps(1.0).max(1) as f64 / f64::from(recipe.grad_accum_steps);
        let schedule = Schedule::new(recipe, per_epoch);
        let files = CheckpointFiles::new(&self.checkpoint);
        let optimizer = Optimizer::new(store, recipe)?;
        let ema = recipe.ema.map(|decay| Ema::new(store, decay)).transpose()?;
        let mut now = Progressing { store, optimizer, ema, state: TrainState::begin(&self.digest) };
        if leads && files.exist() {
            let (state, message) = files.load(&mut now.tensors(), &self.digest)?;
            now.state = state;
            if let Some(message) = message {
                bar.say(&message);
            }
        }
        let state = now.state.clone();
        now.state = now.tensors().broadcast(self.collective, &state)?;
        let log = self.log.as_deref().filter(|_| leads);
        let mut log = log.map(|path| MetricsLog::open(path, now.state.step)).transpose()?;
        bar.begin(schedule.total(), now.state.step);
        let mut batches = self.batches(now.state.step, schedule);
        let (mut saved, before, begin) = (self.clock.now(), now.state.seconds, self.clock.now());
        while now.state.step < schedule.total() {
            let at = now.state.step;
            if at as f64 % per_epoch < 1.0 && !now.state.rolled_back {
                now.save(&files, true, leads)?;
            }
            let started = self.clock.now();
            let stop = match self.step(&mut now, &mut batches, schedule, train_step)? {
                Step::Taken { sums, lr } => {
                    let weight = if at == now.state.skipped { 1.0 } else { NEW };
                    let StepSums { loss, images, values, stop } = sums;
                    now.state.skipped_in_a_row = 0;
                    now.state.loss += weight * (loss - now.state.loss);
                    now.state.metric += weight * (values[0] - now.state.metric);
                    let names = train_step.task().training_metrics().iter().map(|m| m.name.to_string());
                    let row = MetricsRow {
                        step: at + 1,
                        epoch: (at + 1) as f64 / per_epoch,
                        loss,
                        metrics: names.zip(values).collect(),
                        lr,
                        images_per_second: images / (self.clock.now() - started).as_secs_f64().max(1e-9),
                        skipped: now.state.skipped,
                    };
                    if let Some(log) = &mut log {
                        log.add(&row, at + 1 == schedule.total())?;
                    }
                    stop
                }
                Step::Skipped(why, stop) => {
                    now.state.skipped += 1;
                    now.state.skipped_in_a_row += 1;
                    bar.say(&format!("step {at} is skipped: {why}"));
                    if now.state.skipped_in_a_row >= recipe.max_nonfinite_steps {
                        self.roll_back(&mut now, &files, train_step, bar, why)?;
                        batches = self.batches(now.state.step, schedule);
                        continue;
                    }
                    stop
                }
            };
            now.state.step += 1;
            now.state.seconds = before + (self.clock.now() - begin).as_secs_f64();
            bar.at(now.state.step, &self.message(&now.state, per_epoch, train_step.task()));
            let due = (self.clock.now() - saved).as_secs_f64() >= self.config.checkpoint_every;
            if now.state.step < schedule.total() && (due || stop) {
                now.save(&files, false, leads)?;
                saved = self.clock.now();
                if stop {
                    return Ok(TrainOutcome::Stopped);
                }
            }
        }
        if let Some(ema) = &now.ema {
            ema.move_into(now.store)?;
        }
        let TrainState { loss, seconds, skipped, .. } = now.state;
        Ok(TrainOutcome::Done { steps: schedule.total(), loss, seconds, skipped })
    }

    /// Whether every rank has images in every step.
    fn check_shares(&self) -> Result<(), TrainError> {
        let ranks = self.collective.ranks();
        let images = self.loader.smallest_share(ranks);
        match ranks == 1 || images >= 2 {
            true => Ok(()),
            false => Err(CollectiveError::TooFewImages { images, ranks }.into()),
        }
    }

    /// The part of each batch that this process makes.
    fn own_loader(&self) -> DataLoader {
        self.loader.share(Share { rank: self.collective.rank(), ranks: self.collective.ranks() })
    }

    /// Removes the checkpoints of a training whose result is saved.
    pub fn remove_checkpoints(&self) {
        CheckpointFiles::new(&self.checkpoint).remove();
    }

    fn message(&self, state: &TrainState, per_epoch: f64, task: &dyn Task) -> String {
        let (epoch, all) = (state.step as f64 / per_epoch, self.config.recipe.epochs + self.config.recipe.cooldown);
        let skipped = if state.skipped > 0 { format!(", {} steps skipped", state.skipped) } else { String::new() };
        let images = self.loader.images_per_epoch() as f64 * epoch / state.seconds.max(1e-9);
        let primary = task.training_metrics()[0];
        format!(
            "epoch {epoch:.2}/{all:.2}, loss {:.3}, {} {:.1} {}, {images:.0} images/s{skipped}",
            state.loss,
            primary.noun(),
            state.metric,
            primary.unit
        )
    }

    /// Back to the start of the last epoch with a lower learning rate, once.
    fn roll_back(
        &self,
        now: &mut Progressing<'_>,
        files: &CheckpointFiles,
        train_step: &mut dyn TrainStep,
        bar: &Progress,
        why: TrainError,
    ) -> Result<(), TrainError> {
        let n = now.state.skipped_in_a_row;
        if now.state.rolled_back {
            let mut first = finite::first(now.store)?;
            if first.is_none() {
                let step = now.state.step * u64::from(self.config.recipe.grad_accum_steps);
                let batch = self.own_loader().at(step)?;
                let batch = Batch::new(&batch)?.to(now.store.device())?;
                first = train_step.first_not_finite(now.store, &batch)?;
            }
            let begin = first.unwrap_or_else(|| "no tensor of the forward pass".to_string());
            return Err(TrainError::Diverged { steps: n, begin, why: why.to_string() });
        }
        let read = match self.collective.leads() {
            true => files.load_epoch(&mut now.tensors(), &self.digest)?,
            false => now.state.clone(),
        };
        let state = now.tensors().broadcast(self.collective, &read)?;
        bar.say(&format!(
            "{n} steps in a row were skipped: back to step {}, with {LOWER} of the learning rate",
            state.step
        ));
        now.state = TrainState { rolled_back: true, skipped: now.state.skipped, skipped_in_a_row: 0, ..state };
        now.save(files, false, self.collective.leads())
    }

    /// The batches from a step of the optimizer on.
    fn batches(&self, step: u64, schedule: Schedule) -> Batches {
        let parts = u64::from(self.config.recipe.grad_accum_steps);
        self.own_loader().prefetch(step * parts, schedule.total() * parts, Batch::new)
    }

    fn step(
        &self,
        now: &mut Progressing<'_>,
        batches: &mut Batches,
        schedule: Schedule,
        train_step: &mut dyn TrainStep,
    ) -> Result<Step, TrainError> {
        let (step, parts) = (now.state.step, u64::from(self.config.recipe.grad_accum_steps));
        now.store.zero_grad();
        let (mut loss, mut images, mut meter) = (0.0, 0, train_step.task().training_meter());
        for part in 0..parts {
            let batch = batches.take()??.to(now.store.device())?;
            let batch_at = step * parts + part;
            // This rank's share of the batch's images: exactly 1 where it is the only one.
            let own = match self.collective.alone() {
                true => 1.0,
                false => batch.len() as f64 / self.loader.count(batch_at) as f64,
            };
            let at = StepAt { batch: batch_at, share: own / parts as f64 };
            tch::manual_seed(self.dropout_seed(batch_at));
            let metrics = train_step.step(now.store, &batch, at, meter.as_mut())?;
            loss += f64::try_from(metrics.loss).map_err(TrainError::torch)? / parts as f64 * own;
            images += batch.len();
        }
        let mut sums = StepSums::new(loss, images, meter.as_ref(), self.stop.asked());
        let mut grad = None;
        if !self.collective.alone() {
            let (all, of_all) = reduce(self.collective, now.store, sums)?;
            (grad, sums) = (Some(all), of_all);
        }
        if !sums.loss.is_finite() {
            let why = TrainError::NotFinite { what: format!("the loss of step {step}"), value: sums.loss };
            return Ok(Step::Skipped(why, sums.stop));
        }
        let lr = schedule.at(step) * if now.state.rolled_back { LOWER } else { 1.0 };
        let taken = match grad {
            Some(grad) => now.optimizer.step_along(now.store, grad, lr),
            None => now.optimizer.step(now.store, lr),
        };
        match taken {
            Err(why @ TrainError::NotFinite { .. }) => return Ok(Step::Skipped(why, sums.stop)),
            taken => taken?,
        };
        if let Some(ema) = &mut now.ema {
            ema.step(now.store, step)?;
        }
        Ok(Step::Taken { sums, lr })
    }

    /// Dropout draws from libtorch's own generator: it begins each step anew, so that resuming changes nothing. Each rank drops
    /// others than rank 0, which drops what a process by itself does.
    fn dropout_seed(&self, batch: u64) -> i64 {
        let first = number(self.config.seed, Purpose::Dropout, batch);
        match self.collective.rank() as u64 {
            0 => first as i64,
            rank => number(first, Purpose::Dropout, rank) as i64,
        }
    }
}

#[cfg(test)]
mod tests;
