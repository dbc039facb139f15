//! Winners and the published variants that they stand against, trained under one budget and scored on the test split.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::PathBuf;

use mobilenas_record::run::{JournalRow, Origin, Retrained, Trial};
use mobilenas_train::settings::RetrainInit;

use super::finalists::{Scored, finalists};
use super::retraining::{Inherited, Job, Outcome, Retraining};
use super::{RunError, SearchPipeline};
use crate::experiment::{Experiment, retrain_seed};
use crate::worker::Kind;

impl<'a> SearchPipeline<'a> {
    /// The trials to train: each winner, then the published variant that it stands against, so that a stopped
    /// run has both.
    fn finalists(&self) -> Vec<Trial> {
        let config = &self.experiment().config;
        let all = distinct(self.corrected(self.known_best()));
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
        let done = |(t, job): &(Trial, Job)| {
            let is = |r: &JournalRow| matches!(r, JournalRow::Retrained(r) if (r.trial, r.seed) == (t.id, job.seed));
            self.folder.rows.iter().any(is)
        };
        let (finalists, seeds) = (self.finalists(), self.experiment().config.retrain.seeds as u64);
        let all = (0..seeds).flat_map(|k| finalists.iter().map(move |t| (t.clone(), k)));
        let all = all.map(|(trial, k)| Ok((trial.clone(), self.job(&trial, k)?)));
        let all = all.collect::<Result<Vec<_>, RunError>>()?;
        let (over, left): (Vec<_>, Vec<_>) = all.into_iter().partition(done);
        // Of a run that was killed right after it wrote the row.
        over.iter().for_each(|(_, job)| job.clean_up(&root));
        let jobs: Vec<Job> = left.iter().map(|(_, job)| job.clone()).collect();
        self.retraining(root).run(&jobs, |i, outcome| self.retrained(&left[i].0, &jobs[i], outcome))
    }

    pub(super) fn retraining(&self, root: PathBuf) -> Retraining<'a> {
        Retraining {
            experiments: self.experiments.all(),
            root,
            workers: self.experiment().config.retrain.workers,
            kind: Kind::Trains,
            clock: self.clock,
            stop: self.stop,
            collective: self.collective,
            progress: self.progress,
        }
    }

    /// What the training of a winner of a space begins with, if not with new weights.
    pub(super) fn retrained_from(&self, space: &Experiment) -> Option<Inherited> {
        let inherited = Inherited { supernet: space.supernet_file(), steps: None, lr: None };
        (self.experiment().config.retrain.init == RetrainInit::Supernet).then_some(inherited)
    }

    /// The nth training of a trial. The weights of the first are kept.
    fn job(&self, trial: &Trial, n: u64) -> Result<Job, RunError> {
        let (p, id) = (self.experiment(), trial.id);
        let seed = p.config.seed.wrapping_add(n);
        let (of, own) = if n == 0 { Default::default() } else { (format!(", seed {seed}"), format!("-{seed}")) };
        Ok(Job {
            space: self.position(trial)?,
            label: format!("trial {id}{of}"),
            name: format!("training/winner-{id}{own}"),
            weights: (n == 0).then(|| format!("winners/{id}")),
            digest: format!("{}-{}{own}", p.digest, trial.digest),
            genome: trial.genome.clone(),
            epochs: p.config.retrain.recipe.epochs,
            // The streams that a study gives its networks.
            seed: retrain_seed(seed),
            threads: p.config.retrain_threads(),
            inherited: self.retrained_from(self.experiment_of(trial)?),
            validation: false,
        })
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
            inherited: job.inherited.is_some(),
        }))
    }

    /// The winner's genome as YAML: the space it is a point of, and its knobs.
    fn write_genome(&self, trial: &Trial) -> Result<(), RunError> {
        let s = &self.experiment_of(trial)?.entry.section;
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

/// Each network once: two spaces of one family may hold it, and the trial with the better first objective counts.
fn distinct(all: Vec<(Trial, Vec<f64>)>) -> Vec<(Trial, Vec<f64>)> {
    let better = |a: &(Trial, Vec<f64>), b: &(Trial, Vec<f64>)| match a.1[0].total_cmp(&b.1[0]) {
        Ordering::Equal => a.0.id < b.0.id,
        order => order == Ordering::Greater,
    };
    let beaten = |t: &(Trial, Vec<f64>)| all.iter().any(|o| o.0.digest == t.0.digest && better(o, t));
    let keep: Vec<bool> = all.iter().map(|t| !beaten(t)).collect();
    all.into_iter().zip(keep).filter_map(|(t, keep)| keep.then_some(t)).collect()
}
