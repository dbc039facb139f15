//! Networks of a space, trained and scored on the test split: one after another in this process, or several
//! side by side, each in a process of its own. One that is done leaves its outcome in a file until its row is written, so
//! that none is trained twice.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mobilenas_coordinator::{Failure, PoolError, Serving};
use mobilenas_host::write::write_whole;
use mobilenas_host::{Clock, Progress, Stop, WallClock};
use mobilenas_task::{TASKS, Task};
use mobilenas_torch::{Names, Net, Owned, ParamStore, Values, device, weights};
use mobilenas_train::checkpoint::CheckpointFiles;
use mobilenas_train::collective::{Collective, Local};
use mobilenas_train::teacher::teacher;
use mobilenas_train::{TrainOutcome, Trainer, TrainerConfig, single_net};
use serde::{Deserialize, Serialize};

use super::RunError;
use super::int8;
use super::order::Order;
use super::subnet::subnet_among;
use crate::config::Device;
use crate::evaluator::{Scores, pictures, test_scores, validation_scores};
use crate::experiment::loaders::data_loader;
use crate::experiment::{Experiment, ExperimentError};
use crate::worker::{self, Kind};

pub use super::inherited::Inherited;

/// Images of the test split whose detections or class maps are kept as pictures.
const PICTURES: usize = 4;

/// A network to be trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Position of its space among those of the config.
    pub space: usize,
    /// What messages call it.
    pub label: String,
    /// Its log and its outcome in the folder, without their endings.
    pub name: String,
    /// Its weights in the folder, without the ending, if they are kept.
    pub weights: Option<String>,
    /// Digest of what is trained and how.
    pub digest: String,
    /// Knob to value.
    pub genome: BTreeMap<String, i64>,
    /// How long.
    pub epochs: f64,
    /// Seed of weights, order and augmentation.
    pub seed: u64,
    /// Threads.
    pub threads: u32,
    /// What it begins with, if not with new weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherited: Option<Inherited>,
    /// Whether it is scored on the search-validation split, as candidates are, and not on the test split.
    #[serde(default)]
    pub validation: bool,
}

/// What came of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The task's metrics by their names in rows: on the test split, or on the search-validation split.
    pub metrics: BTreeMap<String, f64>,
    /// Seconds of training, resumed parts together.
    pub seconds: f64,
    /// Steps.
    pub steps: u64,
    /// Steps left out because something was not finite.
    pub skipped: u64,
}

/// An outcome in its file.
#[derive(Serialize, Deserialize)]
struct Kept {
    digest: String,
    outcome: Outcome,
}

impl Job {
    fn outcome_file(&self, root: &Path) -> PathBuf {
        root.join(format!("{}.outcome.json", self.name))
    }

    fn checkpoint(&self, root: &Path) -> PathBuf {
        root.join(format!("{}.checkpoint.safetensors", self.weights.as_ref().unwrap_or(&self.name)))
    }

    /// The outcome of this very training, if it was done and has no row yet.
    fn kept(&self, root: &Path) -> Option<Outcome> {
        let kept: Kept = serde_json::from_slice(&fs::read(self.outcome_file(root)).ok()?).ok()?;
        (kept.digest == self.digest).then_some(kept.outcome)
    }

    fn keep(&self, root: &Path, outcome: Outcome) -> Result<Outcome, RunError> {
        let (path, kept) = (self.outcome_file(root), Kept { digest: self.digest.clone(), outcome });
        let text = serde_json::to_vec(&kept)?;
        write_whole(&path, &text).map_err(|error| RunError::Io { path, error })?;
        Ok(kept.outcome)
    }

    /// Removes what nothing needs once the row is written.
    pub fn clean_up(&self, root: &Path) {
        CheckpointFiles::new(self.checkpoint(root)).remove();
        // One that stays does no harm.
        let _ = fs::remove_file(self.outcome_file(root));
    }

    /// Trains, scores and saves, or finds that this was done; `None` if it was asked to stop. Of several processes all train,
    /// and the first does the rest; the others get `None`.
    pub(super) fn run(
        &self,
        experiments: &[Experiment],
        root: &Path,
        (clock, stop): (&dyn Clock, &Stop),
        bar: &Progress,
        collective: &dyn Collective,
    ) -> Result<Option<Outcome>, RunError> {
        let Some(p) = experiments.get(self.space) else { return Err(RunError::NoSpace(self.space)) };
        if collective.leads() {
            if let Some(outcome) = self.kept(root) {
                return Ok(Some(outcome));
            }
            Order::Retrain(serde_json::to_value(self)?).give(collective)?;
        }
        tch::set_num_threads(self.threads as i32);
        let c = &p.config;
        let mut recipe = c.retrain.recipe.clone();
        let loader = data_loader(&p.train, &p.split.train, &c.data, &recipe, (self.threads, self.seed))?;
        match self.inherited.as_ref().and_then(|inherited| Some((inherited, inherited.steps?))) {
            Some((inherited, steps)) => inherited.shorten(&mut recipe, loader.epochs(steps), steps),
            None => recipe.epochs = self.epochs,
        }
        let config = TrainerConfig { recipe, seed: self.seed, checkpoint_every: c.checkpoint_seconds };
        let genome = p.space.genome(&self.genome).map_err(RunError::Genome)?;
        let graph = Arc::new(p.space.lower(&genome)?);
        // All of a subnet's tensors are inherited.
        let values = self.inherited.as_ref().map_or(Values::Initial(config.seed), |_| Values::Zero);
        let mut store = ParamStore::with(&graph, Names::Standalone, values, p.device)?;
        if let Some(inherited) = &self.inherited {
            let subnet = subnet_among(p, &root.join(&inherited.supernet), graph.clone(), collective)?;
            for (spec, tensor) in subnet.tensors().into_iter().flatten() {
                store.set(&spec.name, &tensor)?;
            }
        }
        let net = Net::bind(graph.clone(), &Owned(&store))?;
        let trainer = Trainer {
            config: &config,
            loader: &loader,
            checkpoint: self.checkpoint(root),
            digest: self.digest.clone(),
            clock,
            stop,
            collective,
            log: Some(root.join(format!("{}.jsonl", self.name))),
        };
        let teacher = teacher(&config.recipe, (&c.task_config(), p.space.classes(), graph.input().dims[1]), p.device)?;
        let lower = |side| p.space.lower_at(&genome, side);
        let ended = single_net::train(&trainer, &mut store, bar, &graph, (p.task, teacher.as_ref()), &lower);
        bar.done();
        let TrainOutcome::Done { seconds, skipped, steps, .. } = ended? else { return Ok(None) };
        if !collective.leads() {
            return Ok(None);
        }
        let mut metrics = match self.validation {
            true => {
                let scored = (&p.split.search_val, c.scoring.images, c.scoring.batch);
                by_name(p.task, &validation_scores(&net, &p.train, scored, p.task)?.values)
            }
            false => test_metrics(p.task, &test_scores(&net, &p.test, &p.test_split, c.scoring.batch, p.task)?),
        };
        if p.quantizes() {
            let kept = self.weights.as_ref().map(|name| root.join(name));
            metrics.extend(int8::metrics(p, &net, self.validation, kept)?);
        }
        if let Some(name) = &self.weights {
            let mut about = p.about();
            about.insert("digest".to_string(), graph.digest());
            weights::save(&root.join(format!("{name}.safetensors")), &store.named(), &about)?;
            let shown: Vec<usize> = p.test_split.indices().iter().copied().take(PICTURES).collect();
            for (n, picture) in pictures(&net, &p.test, &shown, p.task)?.iter().enumerate() {
                let path = root.join(format!("{name}.{n}.png"));
                write_whole(&path, picture).map_err(|error| RunError::Io { path, error })?;
            }
        }
        self.keep(root, Outcome { metrics, seconds, steps, skipped }).map(Some)
    }
}

/// How the jobs of a folder are done.
pub struct Retraining<'a> {
    /// Spaces, images, device: at least one.
    pub experiments: &'a [Experiment],
    /// The folder, which holds the config.
    pub root: PathBuf,
    /// Trainings side by side.
    pub workers: usize,
    /// What they are for.
    pub kind: Kind,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Whether to stop.
    pub stop: &'a Stop,
    /// The processes that train together. Several train one network after another, each together.
    pub collective: &'a dyn Collective,
    /// Makes a progress line for a phase.
    pub progress: fn(&'static str) -> Progress,
}

impl Retraining<'_> {
    /// Does jobs and gives the outcome of each, in their order, to `done`, which writes its row. False if it was asked to
    /// stop.
    ///
    /// # Errors
    /// When a training fails, or the first error of `done`; what others finished is kept.
    pub fn run(
        &self,
        jobs: &[Job],
        mut done: impl FnMut(usize, Outcome) -> Result<(), RunError>,
    ) -> Result<bool, RunError> {
        let elsewhere = worker::train_elsewhere(&self.experiments[0].config);
        let several = self.workers > 1 && jobs.len() > 1 && self.collective.alone();
        if !jobs.is_empty() && (elsewhere || several) {
            return self.side_by_side(jobs, done);
        }
        for (i, job) in jobs.iter().enumerate() {
            if self.stop.asked() {
                return Ok(false);
            }
            let bar = (self.progress)("retrain");
            bar.say(&job.label);
            let outcome = job.run(self.experiments, &self.root, (self.clock, self.stop), &bar, self.collective);
            tch::set_num_threads(self.experiments[0].config.threads as i32);
            let Some(outcome) = outcome? else { return Ok(false) };
            done(i, outcome)?;
            job.clean_up(&self.root);
        }
        Ok(true)
    }

    fn side_by_side(
        &self,
        jobs: &[Job],
        mut done: impl FnMut(usize, Outcome) -> Result<(), RunError>,
    ) -> Result<bool, RunError> {
        let (stop, bar, mut count) = (self.stop, (self.progress)("retrain"), 0);
        bar.begin(jobs.len() as u64, 0);
        let threads = jobs.iter().map(|job| job.threads).max().unwrap_or(1);
        let config = &self.experiments[0].config;
        let mut pool = worker::pool(config, &self.root, (self.kind, self.workers, threads), &bar)?;
        let ended = pool.run(
            jobs,
            || !stop.asked(),
            |i, answer: Result<Outcome, Failure>| -> Result<(), Halt> {
                let job = &jobs[i];
                let outcome = match answer {
                    Ok(outcome) => outcome,
                    Err(_) if stop.asked() => return Err(Halt::Stopped),
                    Err(failure) => {
                        let why = worker::in_words(&self.root, &job.name.replace('/', "-"), failure);
                        return Err(Halt::Failed(RunError::Training { name: job.label.clone(), why }));
                    }
                };
                count = i + 1;
                let words = format!("{}: {}", job.label, named(&outcome.metrics));
                done(i, outcome).map_err(Halt::Failed)?;
                job.clean_up(&self.root);
                bar.at(count as u64, &words);
                Ok(())
            },
        );
        bar.done();
        match ended {
            Err(Halt::Failed(e)) => Err(e),
            Ok(()) | Err(Halt::Stopped) => Ok(count == jobs.len()),
        }
    }
}

/// Why no further outcome is taken.
enum Halt {
    /// A training was stopped, and its row comes before those of later ones.
    Stopped,
    Failed(RunError),
}

impl From<PoolError> for Halt {
    fn from(e: PoolError) -> Halt {
        Halt::Failed(e.into())
    }
}

/// Does the jobs that standard input asks for, until there are no more or it is asked to stop. False if it was. `parent` is
/// the process that asks, where it is on this machine.
///
/// # Errors
/// When the folder does not hold what is needed, or the asking program is gone.
pub fn serve(
    root: &Path,
    (kind, device, parent): (Kind, Device, Option<u32>),
    prepare: impl FnOnce() -> Result<Vec<Experiment>, RunError>,
) -> Result<bool, RunError> {
    let io = |error| RunError::Io { path: root.to_path_buf(), error };
    let serving = Serving::start(true).map_err(io)?;
    // A run that is killed leaves no trainings behind.
    #[cfg(target_os = "linux")]
    if let Some(parent) = parent {
        let signal = Some(rustix::process::Signal::TERM);
        rustix::process::set_parent_process_death_signal(signal).map_err(|e| io(e.into()))?;
        // The signal does not come if the run was killed before.
        if std::os::unix::process::parent_id() != parent {
            return Ok(false);
        }
    }
    let (mut all, place) = (prepare()?, device::open(device).map_err(ExperimentError::from)?);
    all.iter_mut().for_each(|p| p.device = place);
    let (clock, hello) = (WallClock::new(), worker::hello(root, kind, &all[0].config, device)?);
    Ok(serving.answer_all(&hello, |job: &Job| {
        let found = job.run(&all, root, (&clock, serving.stop()), &Progress::hidden(), &Local);
        found.map_err(|e| e.to_string()).transpose()
    })?)
}

/// The metrics of a test split by their names in rows: `test_top1` for `top1`.
pub fn test_metrics(task: &dyn Task, scores: &Scores) -> BTreeMap<String, f64> {
    task.metrics().iter().zip(&scores.values).map(|(m, v)| (format!("test_{}", m.name), *v)).collect()
}

/// Metrics in words: `test top-1 93.66 %`.
pub fn named(metrics: &BTreeMap<String, f64>) -> String {
    let label = |name: &str| {
        let info = TASKS.iter().flat_map(|t| t.metrics()).find(|m| name.strip_prefix("test_") == Some(m.name));
        info.map_or_else(|| (name.to_string(), ""), |m| (format!("test {}", m.noun()), m.unit))
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_kept_for_its_own_training_until_it_is_cleaned_up() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let job = |digest: &str| Job {
            space: 0,
            label: "trial 7".to_string(),
            name: "winner-7".to_string(),
            weights: Some("7".to_string()),
            digest: digest.to_string(),
            genome: BTreeMap::new(),
            epochs: 2.5,
            seed: u64::MAX,
            threads: 1,
            inherited: None,
            validation: false,
        };
        let metrics = BTreeMap::from([("test_top1".to_string(), 100.0 / 3.0)]);
        let outcome = Outcome { metrics, seconds: 0.1 + 0.2, steps: 10, skipped: 0 };
        assert_eq!(job("a").kept(root), None);
        job("a").keep(root, outcome.clone()).unwrap();
        assert_eq!(job("a").kept(root), Some(outcome));
        assert_eq!(job("b").kept(root), None, "of another training");
        for file in ["7.safetensors", "7.checkpoint.safetensors", "7.checkpoint.previous.safetensors"] {
            fs::write(root.join(file), "").unwrap();
        }
        job("a").clean_up(root);
        let left: Vec<_> = fs::read_dir(root).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["7.safetensors"]);
    }
}
