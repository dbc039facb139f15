//! One network of a space, trained from scratch and scored on the test split.

use std::path::PathBuf;
use std::sync::Arc;

use mobilenas_bench::Clock;
use mobilenas_space::Genome;
use mobilenas_space::ir::Graph;
use mobilenas_torch::{Names, Net, Owned, Store};

use super::RunError;
use crate::evaluate::test_top1;
use crate::prepare::Prepared;
use crate::progress::Progress;
use crate::stop::Stop;
use crate::train::batches::Feed;
use crate::train::checkpoint::Files;
use crate::train::teacher::teacher;
use crate::train::{Ended, Plan, Trainer, single};

/// A network to be trained from scratch.
#[derive(Debug)]
pub struct Scratch<'a> {
    /// Space, images, device.
    pub prepared: &'a Prepared,
    /// The network.
    pub genome: &'a Genome,
    /// Its graph.
    pub graph: Arc<Graph>,
    /// How it is trained.
    pub plan: &'a Plan,
    /// On what.
    pub feed: &'a Feed,
    /// Where the newest checkpoint goes.
    pub checkpoint: PathBuf,
    /// Digest of what is trained and how.
    pub digest: String,
    /// Where the numbers of the progress line go, too.
    pub diary: PathBuf,
}

/// What came of it.
#[derive(Debug)]
pub struct Trained {
    /// Its weights.
    pub store: Store,
    /// Top-1 on the test split, percent.
    pub test_top1: f64,
    /// Seconds of training, resumed parts together.
    pub seconds: f64,
    /// Steps.
    pub steps: u64,
    /// Steps left out because something was not finite.
    pub skipped: u64,
}

impl Scratch<'_> {
    /// Trains and scores; `None` if it was asked to stop.
    ///
    /// # Errors
    /// When the training fails.
    pub fn train(&self, clock: &dyn Clock, stop: &Stop, bar: &Progress) -> Result<Option<Trained>, RunError> {
        let (p, plan) = (self.prepared, self.plan);
        let mut store = Store::init(&self.graph, Names::Own, plan.seed, p.device)?;
        let net = Net::bind(self.graph.clone(), &Owned(&store))?;
        let trainer = Trainer {
            plan,
            feed: self.feed,
            checkpoint: self.checkpoint.clone(),
            digest: self.digest.clone(),
            clock,
            stop,
            diary: Some(self.diary.clone()),
        };
        let teacher = teacher(&plan.recipe, p.train.data.classes.len() as u32, p.device)?;
        let lower = |side| p.space.lower_at(self.genome, side);
        let ended = single::train(&trainer, &mut store, bar, &self.graph, teacher.as_ref(), &lower);
        bar.done();
        let Ended::Done { seconds, skipped, steps, .. } = ended? else { return Ok(None) };
        let test_top1 = test_top1(&net, &p.test, &p.test_split, p.config.scoring.batch)?;
        Ok(Some(Trained { store, test_top1, seconds, steps, skipped }))
    }

    /// Removes the checkpoints, once the result is saved.
    pub fn forget(&self) {
        Files::new(&self.checkpoint).remove();
    }
}
