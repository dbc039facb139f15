//! One network of a space, trained from scratch and scored on the test split.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use mobilenas_host::Clock;
use mobilenas_space::Genome;
use mobilenas_space::ir::Graph;
use mobilenas_task::{TASKS, Task};
use mobilenas_torch::{Names, Net, Owned, ParamStore};

use super::RunError;
use crate::evaluator::{Scores, test_scores};
use crate::experiment::Experiment;
use mobilenas_data::loader::DataLoader;
use mobilenas_host::Progress;
use mobilenas_host::Stop;
use mobilenas_train::checkpoint::CheckpointFiles;
use mobilenas_train::teacher::teacher;
use mobilenas_train::{TrainOutcome, Trainer, TrainerConfig, single_net};

/// A network to be trained from scratch.
#[derive(Debug)]
pub struct Retraining<'a> {
    /// Space, images, device.
    pub experiment: &'a Experiment,
    /// The network.
    pub genome: &'a Genome,
    /// Its graph.
    pub graph: Arc<Graph>,
    /// How it is trained.
    pub config: &'a TrainerConfig,
    /// On what.
    pub loader: &'a DataLoader,
    /// Where the newest checkpoint goes.
    pub checkpoint: PathBuf,
    /// Digest of what is trained and how.
    pub digest: String,
    /// Where the numbers of the progress line go, too.
    pub log: PathBuf,
}

/// What came of it.
#[derive(Debug)]
pub struct Trained {
    /// Its weights.
    pub store: ParamStore,
    /// The task's metrics on the test split.
    pub test: Scores,
    /// Seconds of training, resumed parts together.
    pub seconds: f64,
    /// Steps.
    pub steps: u64,
    /// Steps left out because something was not finite.
    pub skipped: u64,
}

impl Retraining<'_> {
    /// Trains and scores; `None` if it was asked to stop.
    ///
    /// # Errors
    /// When the training fails.
    pub fn train(&self, clock: &dyn Clock, stop: &Stop, bar: &Progress) -> Result<Option<Trained>, RunError> {
        let (p, config) = (self.experiment, self.config);
        let mut store = ParamStore::init(&self.graph, Names::Standalone, config.seed, p.device)?;
        let net = Net::bind(self.graph.clone(), &Owned(&store))?;
        let trainer = Trainer {
            config,
            loader: self.loader,
            checkpoint: self.checkpoint.clone(),
            digest: self.digest.clone(),
            clock,
            stop,
            log: Some(self.log.clone()),
        };
        let teacher = teacher(&config.recipe, p.train.data.classes.len() as u32, p.device)?;
        let lower = |side| p.space.lower_at(self.genome, side);
        let ended = single_net::train(&trainer, &mut store, bar, &self.graph, (p.task, teacher.as_ref()), &lower);
        bar.done();
        let TrainOutcome::Done { seconds, skipped, steps, .. } = ended? else { return Ok(None) };
        let test = test_scores(&net, &p.test, &p.test_split, p.config.scoring.batch, p.task)?;
        Ok(Some(Trained { store, test, seconds, steps, skipped }))
    }

    /// Removes the checkpoints, once the result is saved.
    pub fn remove_checkpoints(&self) {
        CheckpointFiles::new(&self.checkpoint).remove();
    }
}

/// The metrics of a test split by their names in rows: `test_top1` for `top1`.
pub fn test_metrics(task: &dyn Task, scores: &Scores) -> BTreeMap<String, f64> {
    task.metrics().iter().zip(&scores.values).map(|(m, v)| (format!("test_{}", m.name), *v)).collect()
}

/// Metrics in words: `test top-1 93.66 %`.
pub fn named(metrics: &BTreeMap<String, f64>) -> String {
    let label = |name: &str| {
        let info = TASKS.iter().flat_map(|t| t.metrics()).find(|m| name.strip_prefix("test_") == Some(m.name));
        info.map_or_else(|| (name.to_string(), ""), |m| (format!("test {}", m.label.to_lowercase()), m.unit))
    };
    let one = |(name, value): (&String, &f64)| {
        let (label, unit) = label(name);
        format!("{label} {value:.2} {unit}").trim_end().to_string()
    };
    metrics.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The values of a task's metrics by their names.
pub fn by_name(task: &dyn Task, values: &[f64]) -> BTreeMap<String, f64> {
    task.metrics().iter().zip(values).map(|(m, v)| (m.name.to_string(), *v)).collect()
}
