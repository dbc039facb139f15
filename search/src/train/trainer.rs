//! The loop that all trainings share: steps, schedule, averages, checkpoints, and an end that may come early.

use std::path::PathBuf;

use mobilenas_bench::Clock;
use mobilenas_torch::Store;
use tch::Tensor;

use super::batches::{Batch, Feed, Stream};
use super::checkpoint::{Files, Stand, State};
use super::diary::{Diary, Line};
use super::ema::Ema;
use super::optimizer::Optimizer;
use super::schedule::Schedule;
use super::{TrainError, finite};
use crate::config::Recipe;
use crate::progress::Progress;
use crate::seed::{Purpose, number};
use crate::stop::Stop;

/// How something is trained.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The recipe.
    pub recipe: Recipe,
    /// Seed of everything random in it.
    pub seed: u64,
    /// Seconds between checkpoints.
    pub checkpoint_every: f64,
}

/// What a batch showed.
#[derive(Debug)]
pub struct Shown {
    /// The loss, one number.
    pub loss: Tensor,
    /// Images whose largest logit was their label's.
    pub right: Tensor,
}

/// What is trained: a network alone, or a supernet by one of its rules.
pub trait Lesson {
    /// Adds the gradients of one batch, times `share`, to the store's tensors.
    ///
    /// # Errors
    /// When libtorch refuses.
    fn step(&mut self, store: &Store, batch: &Batch, step: u64, share: f64) -> Result<Shown, TrainError>;

    /// Where a batch first gives something that is not finite: the path of an operation, if it can be found.
    ///
    /// # Errors
    /// When libtorch refuses.
    fn trouble(&self, store: &Store, batch: &Batch) -> Result<Option<String>, TrainError>;
}

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ended {
    /// All steps are done.
    Done {
        /// Steps.
        steps: u64,
        /// Running mean of the loss.
        loss: f64,
        /// Seconds, resumed parts together.
        seconds: f64,
        /// Steps left out because something was not finite.
        skipped: u64,
    },
    /// It was asked to stop; the checkpoint holds what was reached.
    Stopped,
}

/// A training under way.
pub struct Trainer<'a> {
    /// How.
    pub plan: &'a Plan,
    /// On what.
    pub feed: &'a Feed,
    /// Where the newest checkpoint goes.
    pub checkpoint: PathBuf,
    /// Digest of what is trained and how.
    pub digest: String,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Whether to stop.
    pub stop: &'a Stop,
    /// Where the numbers of the progress line go, too.
    pub diary: Option<PathBuf>,
}

/// The learning rate of a training that went back, over that of its recipe.
const LOWER: f64 = 0.5;

/// Share of a new step in the running means that are shown.
const NEW: f64 = 0.02;

/// What changes from step to step.
struct Work<'s> {
    store: &'s mut Store,
    optimizer: Optimizer,
    ema: Option<Ema>,
    stand: Stand,
}

impl Work<'_> {
    fn state(&mut self) -> State<'_> {
        State { store: self.store, optimizer: &mut self.optimizer, ema: self.ema.as_mut() }
    }
}

/// What came of a step.
enum Step {
    Taken {
        loss: f64,
        right: f64,
        images: usize,
        lr: f64,
    },
    /// Nothing has changed; what was not finite.
    Skipped(TrainError),
}

impl Trainer<'_> {
    /// Trains. With averaged weights, those are what the store holds in the end.
    ///
    /// # Errors
    /// When the training diverges for the second time, the disk refuses, or libtorch does.
    pub fn run(&self, store: &mut Store, bar: &Progress, lesson: &mut dyn Lesson) -> Result<Ended, TrainError> {
        let recipe = &self.plan.recipe;
        // An epoch is a pass over the images, whatever share of a step its end would be.
        let per_epoch = self.feed.steps(1.0).max(1) as f64 / f64::from(recipe.accumulate);
        let schedule = Schedule::new(recipe, per_epoch);
        let files = Files::new(&self.checkpoint);
        let optimizer = Optimizer::new(store, recipe)?;
        let ema = recipe.ema.map(|decay| Ema::new(store, decay)).transpose()?;
        let mut work = Work { store, optimizer, ema, stand: Stand::begin(&self.digest) };
        if files.exist() {
            let (stand, word) = files.load(&mut work.state(), &self.digest)?;
            work.stand = stand;
            if let Some(word) = word {
                bar.say(&word);
            }
        }
        let mut diary = self.diary.as_deref().map(|path| Diary::open(path, work.stand.step)).transpose()?;
        bar.begin(schedule.total(), work.stand.step);
        let mut stream = self.stream(work.stand.step, schedule);
        let (mut saved, before, begin) = (self.clock.now(), work.stand.seconds, self.clock.now());
        while work.stand.step < schedule.total() {
            let at = work.stand.step;
            if at as f64 % per_epoch < 1.0 && !work.stand.lowered {
                let stand = work.stand.clone();
                files.save(work.state(), &stand, true)?;
            }
            let took = self.clock.now();
            match self.step(&mut work, &mut stream, schedule, lesson)? {
                Step::Taken { loss, right, images, lr } => {
                    let weight = if at == work.stand.skipped { 1.0 } else { NEW };
                    work.stand.in_a_row = 0;
                    work.stand.loss += weight * (loss - work.stand.loss);
                    work.stand.right += weight * (100.0 * right / images.max(1) as f64 - work.stand.right);
                    let rate = images as f64 / (self.clock.now() - took).as_secs_f64().max(1e-9);
                    let line = Line {
                        step: at + 1,
                        epoch: (at + 1) as f64 / per_epoch,
                        loss,
                        top1: 100.0 * right / images.max(1) as f64,
                        lr,
                        images_per_second: rate,
                        skipped: work.stand.skipped,
                    };
                    if let Some(d) = &mut diary {
                        d.add(&line, at + 1 == schedule.total())?;
                    }
                }
                Step::Skipped(why) => {
                    work.stand.skipped += 1;
                    work.stand.in_a_row += 1;
                    bar.say(&format!("step {at} is left out: {why}"));
                    if work.stand.in_a_row >= recipe.skip {
                        self.go_back(&mut work, &files, lesson, bar, why)?;
                        stream = self.stream(work.stand.step, schedule);
                        continue;
                    }
                }
            }
            work.stand.step += 1;
            work.stand.seconds = before + (self.clock.now() - begin).as_secs_f64();
            bar.at(work.stand.step, &self.shown(&work.stand, per_epoch));
            let due = (self.clock.now() - saved).as_secs_f64() >= self.plan.checkpoint_every;
            if work.stand.step < schedule.total() && (due || self.stop.asked()) {
                let stand = work.stand.clone();
                files.save(work.state(), &stand, false)?;
                saved = self.clock.now();
                if self.stop.asked() {
                    return Ok(Ended::Stopped);
                }
            }
        }
        if let Some(ema) = &work.ema {
            ema.move_into(work.store)?;
        }
        let Stand { loss, seconds, skipped, .. } = work.stand;
        Ok(Ended::Done { steps: schedule.total(), loss, seconds, skipped })
    }

    /// Removes the checkpoints of a training whose result is saved.
    pub fn forget(&self) {
        Files::new(&self.checkpoint).remove();
    }

    fn shown(&self, stand: &Stand, per_epoch: f64) -> String {
        let (epoch, all) = (stand.step as f64 / per_epoch, self.plan.recipe.epochs + self.plan.recipe.cooldown);
        let skipped = if stand.skipped > 0 { format!(", {} left out", stand.skipped) } else { String::new() };
        let images = self.feed.images() as f64 * epoch / stand.seconds.max(1e-9);
        format!(
            "epoch {epoch:.2}/{all:.2}, loss {:.3}, top-1 {:.1} %, {images:.0} images/s{skipped}",
            stand.loss, stand.right
        )
    }

    /// Back to the last epoch's begin with a lower learning rate, once.
    fn go_back(
        &self,
        work: &mut Work<'_>,
        files: &Files,
        lesson: &mut dyn Lesson,
        bar: &Progress,
        why: TrainError,
    ) -> Result<(), TrainError> {
        let n = work.stand.in_a_row;
        if work.stand.lowered {
            let mut begin = finite::first(work.store)?;
            if begin.is_none() {
                let batch = self.feed.at(work.stand.step * u64::from(self.plan.recipe.accumulate))?;
                let batch = batch.to(work.store.device())?;
                begin = lesson.trouble(work.store, &batch)?;
            }
            let begin = begin.unwrap_or_else(|| "no tensor of the forward pass".to_string());
            return Err(TrainError::Diverged { steps: n, begin, why: why.to_string() });
        }
        let stand = files.back(&mut work.state(), &self.digest)?;
        bar.say(&format!(
            "{n} steps in a row were left out: back to step {}, with {LOWER} of the learning rate",
            stand.step
        ));
        work.stand = Stand { lowered: true, skipped: work.stand.skipped, in_a_row: 0, ..stand };
        let stand = work.stand.clone();
        files.save(work.state(), &stand, false)
    }

    /// The batches from a step of the optimizer on.
    fn stream(&self, step: u64, schedule: Schedule) -> Stream {
        let parts = u64::from(self.plan.recipe.accumulate);
        self.feed.stream(step * parts, schedule.total() * parts)
    }

    fn step(
        &self,
        work: &mut Work<'_>,
        stream: &mut Stream,
        schedule: Schedule,
        lesson: &mut dyn Lesson,
    ) -> Result<Step, TrainError> {
        let (step, parts) = (work.stand.step, u64::from(self.plan.recipe.accumulate));
        work.store.zero_grad();
        let (mut loss, mut right, mut images) = (0.0, 0.0, 0);
        for part in 0..parts {
            let at = step * parts + part;
            let batch = stream.take()?.to(work.store.device())?;
            // Dropout draws from libtorch's own generator: it begins each step anew, so that resuming changes nothing.
            tch::manual_seed(number(self.plan.seed, Purpose::Dropout, at) as i64);
            let shown = lesson.step(work.store, &batch, at, 1.0 / parts as f64)?;
            loss += f64::try_from(shown.loss).map_err(TrainError::torch)? / parts as f64;
            right += f64::try_from(shown.right).map_err(TrainError::torch)?;
            images += batch.labels.size()[0] as usize;
        }
        if !loss.is_finite() {
            return Ok(Step::Skipped(TrainError::NotFinite { what: format!("the loss of step {step}"), value: loss }));
        }
        let lr = schedule.at(step) * if work.stand.lowered { LOWER } else { 1.0 };
        match work.optimizer.step(work.store, lr) {
            Err(why @ TrainError::NotFinite { .. }) => return Ok(Step::Skipped(why)),
            taken => taken?,
        };
        if let Some(ema) = &mut work.ema {
            ema.step(work.store)?;
        }
        Ok(Step::Taken { loss, right, images, lr })
    }
}

#[cfg(test)]
mod tests;
