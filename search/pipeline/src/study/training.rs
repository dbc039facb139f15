//! Trainings of a study: one after another in this process, or several side by side, each in a process of its own. One that is
//! done leaves its outcome in a file until its row is written, so that none is done twice.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mobilenas_host::write::write_whole;
use mobilenas_host::{Clock, WallClock};
use mobilenas_reports::study::{StudyNetwork, StudyRow, TrainedNetwork};
use serde::{Deserialize, Serialize};

use super::plan::StudyInterrupt;
use super::{Study, StudyPlan};
use crate::config;
use crate::experiment::ExperimentError;
use crate::experiment::loaders::data_loader;
use crate::pipeline::RunError;
use crate::pipeline::retraining::{Retraining, Trained, named, test_metrics};
use crate::worker;
use mobilenas_host::Pool;
use mobilenas_host::Progress;
use mobilenas_host::Stop;
use mobilenas_space::seed::{Purpose, number};
use mobilenas_torch::device;
use mobilenas_train;

/// A network to be trained from scratch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Where its files go, in the study's folder, before their endings.
    name: String,
    /// Digest of what is trained and how.
    digest: String,
    /// Knob to value.
    genome: BTreeMap<String, i64>,
    /// How long.
    epochs: f64,
    /// Seed of weights, order and augmentation.
    seed: u64,
}

/// What came of a training, as it is kept until its row is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    digest: String,
    outcome: Outcome,
}

/// What came of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Outcome {
    /// The task's metrics on the test split, by name.
    metrics: BTreeMap<String, f64>,
    /// Seconds of training, resumed parts together.
    seconds: f64,
    /// Steps.
    steps: u64,
    /// Steps left out because something was not finite.
    skipped: u64,
}

impl Job {
    fn kept(&self, root: &Path) -> PathBuf {
        root.join(format!("{}.outcome.json", self.name))
    }

    /// Trains and scores, or finds that this was done; `None` if it was asked to stop.
    fn run(
        &self,
        plan: &StudyPlan,
        root: &Path,
        clock: &dyn Clock,
        stop: &Stop,
        bar: &Progress,
    ) -> Result<Option<Outcome>, RunError> {
        let path = self.kept(root);
        let there = fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Kept>(&text).ok());
        if let Some(Kept { outcome, .. }) = there.filter(|k| k.digest == self.digest) {
            return Ok(Some(outcome));
        }
        let (p, c) = (&plan.experiment, &plan.experiment.config);
        let mut recipe = c.retrain.recipe.clone();
        recipe.epochs = self.epochs;
        // The very stream that a search with this seed gives its winners.
        let seed = number(self.seed, Purpose::Weights, 1);
        let how = mobilenas_train::TrainerConfig { recipe, seed, checkpoint_every: c.checkpoint_seconds };
        let loader = data_loader(&p.train, &p.split.train, &c.data, &how.recipe, (plan.config.threads(), seed))?;
        let genome = p.space.genome(&self.genome).map_err(RunError::Genome)?;
        let retraining = Retraining {
            experiment: p,
            genome: &genome,
            graph: Arc::new(p.space.lower(&genome)?),
            config: &how,
            loader: &loader,
            checkpoint: root.join(format!("{}.checkpoint.safetensors", self.name)),
            digest: self.digest.clone(),
            log: root.join(format!("{}.jsonl", self.name)),
        };
        let Some(Trained { test, seconds, steps, skipped, .. }) = retraining.train(clock, stop, bar)? else {
            return Ok(None);
        };
        let outcome = Outcome { metrics: test_metrics(p.task, &test), seconds, steps, skipped };
        let kept = Kept { digest: self.digest.clone(), outcome: outcome.clone() };
        let text = serde_json::to_vec(&kept)?;
        write_whole(&path, &text).map_err(|error| RunError::Io { path, error })?;
        retraining.remove_checkpoints();
        Ok(Some(outcome))
    }
}

impl Study<'_> {
    /// Trains networks from scratch and scores them on the test split, those that are not done: each for some epochs, with a
    /// seed.
    pub(super) fn retrain(
        &mut self,
        wanted: impl Iterator<Item = (StudyNetwork, f64, u64)>,
    ) -> Result<(), StudyInterrupt> {
        let done = |n: &StudyNetwork, seed: u64| {
            self.folder.rows.iter().any(|r| matches!(r, StudyRow::Retrained(r) if r.network == n.id && r.seed == seed))
        };
        let (over, left): (Vec<_>, Vec<_>) = wanted.partition(|(n, _, seed)| done(n, *seed));
        for (network, epochs, seed) in &over {
            // Of a study that was killed right after it wrote the row.
            let _ = fs::remove_file(self.job(network, *epochs, *seed).kept(self.folder.root()));
        }
        let jobs: Vec<Job> = left.iter().map(|(n, epochs, seed)| self.job(n, *epochs, *seed)).collect();
        if self.plan.config.study.workers > 1 && jobs.len() > 1 {
            return self.side_by_side(&left, &jobs);
        }
        let (all, own) = (self.plan.experiment.config.threads, self.plan.config.threads());
        for ((network, _, seed), job) in left.iter().zip(&jobs) {
            if self.stop.asked() {
                return Err(StudyInterrupt::Stopped);
            }
            let bar = (self.progress)("retrain");
            bar.say(&format!("{}, seed {seed}", network.name));
            tch::set_num_threads(own as i32);
            let outcome = job.run(self.plan, self.folder.root(), self.clock, self.stop, &bar);
            tch::set_num_threads(all as i32);
            self.trained(network, job, outcome?.ok_or(StudyInterrupt::Stopped)?)?;
        }
        Ok(())
    }

    fn job(&self, network: &StudyNetwork, epochs: f64, seed: u64) -> Job {
        Job {
            name: format!("training/{}-{seed}", network.id),
            digest: format!("{}-{}-{seed}", self.plan.digest, network.digest),
            genome: network.genome.clone(),
            epochs,
            seed,
        }
    }

    /// By several processes; rows in the order of the jobs.
    fn side_by_side(&mut self, wanted: &[(StudyNetwork, f64, u64)], jobs: &[Job]) -> Result<(), StudyInterrupt> {
        let (root, device) = (self.folder.root().to_path_buf(), self.plan.experiment.config.device);
        let mut pool =
            Pool::new(self.plan.config.study.workers, 0, move || worker::command(&root, device, true)).ending();
        let (stop, bar) = (self.stop, (self.progress)("retrain"));
        bar.begin(jobs.len() as u64, 0);
        let go_on = || !stop.asked();
        pool.run(jobs, go_on, |i, answer| -> Result<(), StudyInterrupt> {
            let (Some((network, _, seed)), Some(job)) = (wanted.get(i), jobs.get(i)) else { return Ok(()) };
            let outcome = match answer {
                Ok(values) => Outcome::of(values).ok_or_else(|| RunError::Training {
                    name: network.name.clone(),
                    why: "an answer that is not that of a training".to_string(),
                })?,
                Err(_) if stop.asked() => return Err(StudyInterrupt::Stopped),
                Err(why) => return Err(RunError::Training { name: network.name.clone(), why }.into()),
            };
            let metrics = outcome.metrics.clone();
            self.trained(network, job, outcome)?;
            bar.at(i as u64 + 1, &format!("{}, seed {seed}: {}", network.name, named(&metrics)));
            Ok(())
        })?;
        bar.done();
        if stop.asked() { Err(StudyInterrupt::Stopped) } else { Ok(()) }
    }

    /// Writes the row of a training.
    fn trained(&mut self, network: &StudyNetwork, job: &Job, outcome: Outcome) -> Result<(), RunError> {
        let Outcome { metrics, seconds, steps, skipped } = outcome;
        if skipped > 0 {
            let (name, seed) = (&network.name, job.seed);
            self.caveat(format!(
                "Training {name} with seed {seed} left out {skipped} of {steps} steps that were not finite."
            ))?;
        }
        let row = TrainedNetwork { network: network.id, seed: job.seed, epochs: job.epochs, metrics, seconds };
        self.folder.append(StudyRow::Retrained(row))?;
        // It has served; one that stays does no harm.
        let _ = fs::remove_file(job.kept(self.folder.root()));
        Ok(())
    }
}

impl Outcome {
    fn values(self) -> BTreeMap<String, f64> {
        let Outcome { metrics, seconds, steps, skipped } = self;
        let own = [("seconds", seconds), ("steps", steps as f64), ("skipped", skipped as f64)];
        metrics.into_iter().chain(own.map(|(name, value)| (name.to_string(), value))).collect()
    }

    fn of(mut values: BTreeMap<String, f64>) -> Option<Outcome> {
        let mut take = |name| values.remove(name);
        let (seconds, steps, skipped) = (take("seconds")?, take("steps")? as u64, take("skipped")? as u64);
        (!values.is_empty()).then_some(Outcome { metrics: values, seconds, steps, skipped })
    }
}

/// Does the trainings of a study that standard input asks for, until there are no more or it is asked to stop. False if it was.
///
/// # Errors
/// When the study's folder does not hold what is needed, or the asking program is gone.
pub fn serve(root: &Path, device: config::Device) -> Result<bool, RunError> {
    let io = |error| RunError::Io { path: root.to_path_buf(), error };
    let stop = Stop::of_a_worker().map_err(io)?;
    // A study that is killed leaves no trainings behind.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM)).map_err(|e| io(e.into()))?;
    let mut plan = StudyPlan::prepare(&root.join(config::FILE), config::Origin::Run)?;
    plan.experiment.device = device::open(device).map_err(ExperimentError::from)?;
    tch::set_num_threads(plan.config.threads() as i32);
    let clock = WallClock::new();
    worker::answer_all(root, |job: &Job| match job.run(&plan, root, &clock, &stop, &Progress::hidden()) {
        Ok(Some(outcome)) => Some(Ok(outcome.values())),
        Ok(None) => None,
        Err(e) => Some(Err(e.to_string())),
    })
}
