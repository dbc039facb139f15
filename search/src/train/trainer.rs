//! The loop that both trainings share: steps, schedule, checkpoints, and an end that may come early.

use std::path::PathBuf;

use mobilenas_bench::Clock;
use mobilenas_torch::Store;
use tch::Tensor;

use super::TrainError;
use super::batches::{Batch, Feed};
use super::checkpoint::{self, Stand};
use super::optimizer::AdamW;
use super::schedule::Schedule;
use crate::progress::Progress;
use crate::seed::{Purpose, number};
use crate::stop::Stop;

/// How something is trained.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Epochs over the training split; may be a fraction.
    pub epochs: f64,
    /// Peak learning rate.
    pub lr: f64,
    /// Learning rate at the end.
    pub min_lr: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Epochs of warm-up.
    pub warmup: f64,
    /// Largest norm of the gradient.
    pub clip: f64,
    /// Label smoothing.
    pub label_smoothing: f64,
    /// Seed of everything random in it.
    pub seed: u64,
    /// Seconds between checkpoints.
    pub checkpoint_every: f64,
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
    /// Where the checkpoint goes.
    pub checkpoint: PathBuf,
    /// Digest of what is trained and how.
    pub digest: String,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Whether to stop.
    pub stop: &'a Stop,
}

impl Trainer<'_> {
    /// Trains. `losses` adds the gradients of one batch to the store's tensors and gives the loss that is shown.
    ///
    /// # Errors
    /// When the loss or the gradient is not finite, the disk refuses, or libtorch does.
    pub fn run(
        &self,
        store: &mut Store,
        bar: &Progress,
        mut losses: impl FnMut(&Store, &Batch, u64) -> Result<Tensor, TrainError>,
    ) -> Result<Ended, TrainError> {
        let (steps, warmup) = (self.feed.steps(self.plan.epochs).max(1), self.feed.steps(self.plan.warmup));
        let schedule = Schedule { lr: self.plan.lr, min_lr: self.plan.min_lr, warmup, steps };
        let mut optimizer = AdamW::new(store, self.plan.weight_decay)?;
        let mut stand = Stand { step: 0, seconds: 0.0, loss: 0.0, digest: self.digest.clone() };
        if self.checkpoint.exists() {
            stand = checkpoint::load(&self.checkpoint, store, &mut optimizer, &self.digest)?;
        }
        bar.begin(steps, stand.step);
        let mut stream = self.feed.stream(stand.step, steps);
        let (mut saved, before, begin) = (self.clock.now(), stand.seconds, self.clock.now());
        while stand.step < steps {
            let loss = self.step(store, &mut optimizer, &stream.take()?, stand.step, schedule, &mut losses)?;
            let weight = if stand.step == 0 { 1.0 } else { 0.02 };
            stand.loss += weight * (loss - stand.loss);
            stand.step += 1;
            stand.seconds = before + (self.clock.now() - begin).as_secs_f64();
            let epoch = self.feed.epochs(stand.step);
            let shown = format!("epoch {epoch:.2}/{:.2}, loss {:.3}", self.plan.epochs, stand.loss);
            bar.at(stand.step, &shown);
            let due = (self.clock.now() - saved).as_secs_f64() >= self.plan.checkpoint_every;
            if stand.step < steps && (due || self.stop.asked()) {
                checkpoint::save(&self.checkpoint, store, &optimizer, &stand)?;
                saved = self.clock.now();
                if self.stop.asked() {
                    return Ok(Ended::Stopped);
                }
            }
        }
        Ok(Ended::Done { steps, loss: stand.loss, seconds: stand.seconds })
    }

    fn step(
        &self,
        store: &mut Store,
        optimizer: &mut AdamW,
        images: &Batch,
        step: u64,
        schedule: Schedule,
        losses: &mut impl FnMut(&Store, &Batch, u64) -> Result<Tensor, TrainError>,
    ) -> Result<f64, TrainError> {
        let Plan { seed, clip, .. } = *self.plan;
        // Dropout draws from libtorch's own generator: it begins each step anew, so that resuming changes nothing.
        tch::manual_seed(number(seed, Purpose::Dropout, step) as i64);
        store.zero_grad();
        let loss = f64::try_from(losses(store, images, step)?).map_err(TrainError::torch)?;
        if !loss.is_finite() {
            return Err(TrainError::NotFinite { what: format!("the loss of step {step}"), value: loss });
        }
        optimizer.step(store, schedule.at(step), clip)?;
        Ok(loss)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mobilenas_bench::Wall;
    use mobilenas_space::families;
    use mobilenas_torch::{Names, Net, Owned};
    use tch::Device;

    use super::*;
    use crate::data::{Images, Labelled, Source};
    use crate::train::augment::Augment;
    use crate::train::batches::{Norm, Recipe, Sampler, View};
    use crate::train::single;

    /// Forty images in batches of ten.
    fn feed() -> Feed {
        let pixels = (0..40 * 64u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let images = Source::Memory(Images { n: 40, height: 8, width: 8, channels: 1, pixels });
        let classes = ["a", "b", "c", "d"].map(str::to_string).to_vec();
        let data = Labelled { images, labels: (0..40).map(|i| i % 4).collect(), classes };
        let view = View::new(data.into(), Norm::grey(0.5, 0.3), 0.0);
        let sampler = Sampler { batch: 10, repeats: 1, scale: None };
        let recipe = Recipe { augment: Augment::default(), sampler, label_smoothing: 0.0, threads: 2 };
        Feed::new(view, &(0..40).collect::<Vec<_>>(), recipe, 1).unwrap()
    }

    fn plan() -> Plan {
        Plan {
            epochs: 2.0,
            lr: 1e-3,
            min_lr: 0.0,
            weight_decay: 0.01,
            warmup: 0.5,
            clip: 1.0,
            label_smoothing: 0.0,
            seed: 1,
            checkpoint_every: 0.0,
        }
    }

    fn small() -> (Store, Net) {
        let (family, _) = families::variant("mobilenetv2_100").unwrap();
        let template = family.template("mobilenetv2_100").unwrap();
        let graph = Arc::new(template.plan(&template.values(), 32, 4).unwrap().lower().unwrap());
        let store = Store::init(&graph, Names::Own, 1, Device::Cpu).unwrap();
        let net = Net::bind(graph, &Owned(&store)).unwrap();
        (store, net)
    }

    #[test]
    fn a_loss_that_is_no_number_stops_with_the_last_checkpoint_whole() {
        let (feed, plan) = (feed(), plan());
        let dir = tempfile::tempdir().unwrap();
        let (clock, stop) = (Wall::new(), Stop::never());
        let trainer = Trainer {
            plan: &plan,
            feed: &feed,
            checkpoint: dir.path().join("c.safetensors"),
            digest: "d".into(),
            clock: &clock,
            stop: &stop,
        };
        let (mut store, net) = small();
        let broken = trainer.run(&mut store, &Progress::hidden(), |_, batch, step| {
            let loss = single::step(&net, batch, 0.0)?;
            if step == 5 { loss.f_mul_scalar(f64::NAN).map_err(TrainError::torch) } else { Ok(loss) }
        });
        let message = broken.unwrap_err().to_string();
        insta::assert_snapshot!(message, @"the loss of step 5 is NaN, expected a finite number: the training has diverged");
        // What was written is the stand after step 4, and the training goes on from there.
        let (mut store, net) = small();
        let mut first = None;
        let ended = trainer.run(&mut store, &Progress::hidden(), |_, batch, step| {
            first.get_or_insert(step);
            single::step(&net, batch, 0.0)
        });
        assert_eq!(first, Some(5));
        assert!(matches!(ended, Ok(Ended::Done { steps: 8, .. })), "{ended:?}");
    }

    #[test]
    fn a_gradient_that_is_no_number_changes_nothing() {
        let (mut store, net) = small();
        let images = Tensor::from_slice(&[f32::NAN]).expand([4, 1, 32, 32], false).contiguous();
        let batch = Batch { images, labels: Tensor::from_slice(&[0i64, 1, 2, 3]), targets: None };
        let mut optimizer = AdamW::new(&store, 0.01).unwrap();
        let before = store.flat().copy();
        drop(single::step(&net, &batch, 0.0).unwrap());
        let error = optimizer.step(&mut store, 1e-3, 1.0).unwrap_err().to_string();
        assert!(error.starts_with("the gradient's norm is NaN"), "{error}");
        assert!(store.flat().equal(&before));
    }
}
