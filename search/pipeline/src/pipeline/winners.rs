//! Winners and the published variants that they stand against, trained from scratch under one budget and scored on the
//! test split.

use std::collections::BTreeMap;
use std::sync::Arc;

use mobilenas_record::run::{JournalRow, Origin, Retrained, Trial};
use mobilenas_torch::weights;

use super::finalists::{Scored, finalists};
use super::retraining::{Retraining, Trained, test_metrics};
use super::{RunError, SearchPipeline, trials};

impl SearchPipeline<'_> {
    /// The trials to train from scratch: each winner, then the published variant that it stands against, so that a stopped
    /// run has both.
    fn finalists(&self) -> Vec<Trial> {
        let config = &self.experiment.config;
        let all: Vec<(Trial, Vec<f64>)> =
            self.as_timed().filter_map(|t| trials::scores(&t, &config.search.objectives).map(|s| (t, s))).collect();
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
        for trial in self.finalists() {
            let done = self.folder.rows.iter().any(|r| matches!(r, JournalRow::Retrained(t) if t.trial == trial.id));
            if !done && !self.winner(&trial)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn winner(&mut self, trial: &Trial) -> Result<bool, RunError> {
        let (p, config) = (self.experiment, self.experiment.retrain_trainer());
        let loader = p.retrain_loader()?;
        let genome = p.space.genome(&trial.genome).map_err(RunError::Genome)?;
        let graph = Arc::new(p.space.lower(&genome)?);
        let retraining = Retraining {
            experiment: p,
            genome: &genome,
            graph,
            config: &config,
            loader: &loader,
            checkpoint: self.folder.path(&format!("winners/{}.checkpoint.safetensors", trial.id)),
            digest: format!("{}-{}", p.digest, trial.digest),
            log: self.folder.path(&format!("training/winner-{}.jsonl", trial.id)),
        };
        let bar = (self.progress)("retrain");
        let Some(Trained { store, test, seconds, steps, skipped }) = retraining.train(self.clock, self.stop, &bar)?
        else {
            return Ok(false);
        };
        self.left_out(&format!("trial {}", trial.id), skipped, steps)?;
        let mut about = p.about();
        about.insert("digest".to_string(), trial.digest.clone());
        weights::save(&self.folder.path(&format!("winners/{}.safetensors", trial.id)), &store.named(), &about)?;
        self.write_genome(trial)?;
        self.folder.append(JournalRow::Retrained(Retrained {
            trial: trial.id,
            digest: trial.digest.clone(),
            seed: config.seed,
            epochs: config.recipe.epochs,
            metrics: test_metrics(p.task, &test),
            seconds,
        }))?;
        retraining.remove_checkpoints();
        Ok(true)
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
