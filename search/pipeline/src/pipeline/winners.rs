//! Winners: the best few of the front, trained from scratch under one budget and scored on the test split.

use std::collections::BTreeMap;
use std::sync::Arc;

use mobilenas_record::pareto::dominates;
use mobilenas_record::run::{JournalRow, Origin, Retrained, Trial};
use mobilenas_torch::weights;

use super::retraining::{Retraining, Trained, test_metrics};
use super::{RunError, SearchPipeline, trials};

impl SearchPipeline<'_> {
    /// The front in the search's objectives, best in the first objective first.
    pub(super) fn front(&self) -> Vec<Trial> {
        let objectives = &self.experiment.config.search.objectives;
        let all: Vec<(Trial, Vec<f64>)> = self
            .as_timed()
            .filter(|t| t.origin == Origin::Search)
            .filter_map(|t| trials::scores(&t, objectives).map(|s| (t, s)))
            .collect();
        let beaten = |s: &[f64]| all.iter().any(|(_, other)| dominates(other, s));
        let mut front: Vec<&(Trial, Vec<f64>)> = all.iter().filter(|(_, s)| !beaten(s)).collect();
        front.sort_by(|(a, x), (b, y)| y[0].total_cmp(&x[0]).then(a.id.cmp(&b.id)));
        front.into_iter().map(|(t, _)| t.clone()).collect()
    }

    /// Trains and scores the winners that are not yet. False if the run was asked to stop.
    pub(super) fn winners(&mut self) -> Result<bool, RunError> {
        let best: Vec<Trial> = self.front().into_iter().take(self.experiment.config.retrain.best).collect();
        for trial in best {
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
