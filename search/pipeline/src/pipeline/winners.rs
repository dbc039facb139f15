//! Winners and the published variants that they stand against, trained from scratch under one budget and scored on the
//! test split.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mobilenas_record::run::{JournalRow, Origin, Retrained, Trial};

use super::finalists::{Scored, finalists};
use super::retraining::{Job, Outcome, Retraining};
use super::{RunError, SearchPipeline};
use crate::experiment::retrain_seed;
use crate::worker::Kind;

impl<'a> SearchPipeline<'a> {
    /// The trials to train from scratch: each winner, then the published variant that it stands against, so that a stopped
    /// run has both.
    fn finalists(&self) -> Vec<Trial> {
        let config = &self.experiment.config;
        let all = self.known_best();
        let of = |found: bool| -> Vec<Scored> {
            let own = all.iter().filter(|(t, _)| (t.origin == Origin::Search) == found);
            own.map(|(t, s)| (t.id, s.clone())).collect()
        };
        let variants = if config.retrain.variants { of(false) } else { Vec::new() };
        let chosen = finalists(&of(true), &variants).into_iter().take(config.retrain.best);
        let ids = chosen.flat_map(|f| std::iter::once(f.found).chain(f.variant));
        ids.filter_map(|id| all.iter().find(|(t, _)| t.id == id).map(|(t, _)| t.clone())).collect()
    }

    /// Trains and scores the winners and variants that are not yet. False if the run was asked to stop.
    pub(super) fn winners(&mut self) -> Result<bool, RunError> {
        let root = self.folder.root().to_path_buf();
        let done = |t: &Trial| {
            self.folder.rows.iter().any(|r| matches!(r, JournalRow::Retrained(other) if other.trial == t.id))
        };
        let (over, left): (Vec<Trial>, Vec<Trial>) = self.finalists().into_iter().partition(done);
        // Of a run that was killed right after it wrote the row.
        over.iter().for_each(|trial| self.job(trial).clean_up(&root));
        let jobs: Vec<Job> = left.iter().map(|trial| self.job(trial)).collect();
        self.retraining(root).run(&jobs, |i, outcome| self.retrained(&left[i], &jobs[i], outcome))
    }

    pub(super) fn retraining(&self, root: PathBuf) -> Retraining<'a> {
        Retraining {
            experiment: self.experiment,
            root,
            workers: self.experiment.config.retrain.workers,
            kind: Kind::Trains,
            clock: self.clock,
            stop: self.stop,
            collective: self.collective,
            progress: self.progress,
        }
    }

    fn job(&self, trial: &Trial) -> Job {
        let p = self.experiment;
        Job {
            label: format!("trial {}", trial.id),
            name: format!("training/winner-{}", trial.id),
            weights: Some(format!("winners/{}", trial.id)),
            digest: format!("{}-{}", p.digest, trial.digest),
            genome: trial.genome.clone(),
            epochs: p.config.retrain.recipe.epochs,
            seed: retrain_seed(p.config.seed),
            threads: p.config.retrain_threads(),
            inherited: None,
        }
    }

    /// Writes the genome and the row of a trial whose weights are there.
    fn retrained(&mut self, trial: &Trial, job: &Job, outcome: Outcome) -> Result<(), RunError> {
        let Outcome { metrics, seconds, steps, skipped } = outcome;
        self.left_out(&job.label, skipped, steps)?;
        self.write_genome(trial)?;
        self.folder.append(JournalRow::Retrained(Retrained {
            trial: trial.id,
            digest: trial.digest.clone(),
            seed: job.seed,
            epochs: job.epochs,
            metrics,
            seconds,
        }))
    }

    /// The winner's genome as YAML: the space it is a point of, and its knobs.
    fn write_genome(&self, trial: &Trial) -> Result<(), RunError> {
        let s = &self.experiment.config.space;
        let knobs: BTreeMap<&String, [i64; 1]> = trial.genome.iter().map(|(k, v)| (k, [*v])).collect();
        let tree = serde_json::json!({ "family": s.family, "scale": s.scale, "knobs": knobs });
        let text = serde_yaml::to_string(&tree)?;
        let path = self.folder.path(&format!("winners/{}.yaml", trial.id));
        let text = format!(
            "# Trial {}, graph {}: the `space` of a config with this one network.\n{text}",
            trial.id, trial.digest
        );
        mobilenas_host::write::write_whole(&path, text.as_bytes()).map_err(|error| RunError::Io { path, error })
    }
}
