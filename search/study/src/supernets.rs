//! One supernet for each rule.

use mobilenas_torch::weights;

use crate::plan::StudyInterrupt;
use crate::{Study, StudyPlan, statistics};
use mobilenas_pipeline::config::{self, BatchNorms};
use mobilenas_pipeline::pipeline::SupernetTraining;
use mobilenas_train::TrainOutcome;
use mobilenas_train::checkpoint::CheckpointFiles;

/// Word in a weights file: seconds that the training took.
const SECONDS: &str = "seconds";

impl StudyPlan {
    /// How the supernet of a rule and a space is trained: several spaces share the epochs.
    pub(super) fn trained_by(&self, rule: usize, space: usize) -> config::SupernetConfig {
        let (by, all) = (&self.config.study.rules[rule], self.experiments.all());
        let mut own = all[space].config.supernet.clone();
        own.rule = by.rule;
        own.recipe.epochs = by.epochs.map_or(own.recipe.epochs, |epochs| epochs / all.len() as f64);
        own
    }
}

impl Study<'_> {
    /// What the supernet of a rule and a space is called.
    fn supernet_name(&self, rule: usize, space: usize) -> String {
        format!("{}{}", self.plan.config.study.rules[rule].rule.name(), self.plan.suffix(space))
    }

    pub(super) fn supernet_file(&self, rule: usize, space: usize) -> String {
        format!("supernet-{}.safetensors", self.supernet_name(rule, space))
    }

    /// Trains the supernet of a rule and a space, if it is not. Gives the seconds it took.
    pub(super) fn supernet(&mut self, rule: usize, space: usize) -> Result<f64, StudyInterrupt> {
        let (p, own) = (&self.plan.experiments.all()[space], self.plan.trained_by(rule, space));
        let path = self.folder.path(&self.supernet_file(rule, space));
        if path.exists() {
            let (_, about) = weights::load(&path)?;
            return Ok(about.get(SECONDS).and_then(|s| s.parse().ok()).unwrap_or(0.0));
        }
        let name = self.supernet_name(rule, space);
        let checkpoint = self.folder.path(&format!("supernet-{name}.checkpoint.safetensors"));
        let training = SupernetTraining {
            experiment: p,
            position: space,
            settings: &own,
            checkpoint: checkpoint.clone(),
            log: self.folder.path(&format!("training/supernet-{name}.jsonl")),
            digest: format!("{}-{name}", self.plan.digest),
            clock: self.clock,
            stop: self.stop,
            collective: self.collective,
        };
        let (store, ended) = training.run(&(self.progress)(own.rule.name()))?;
        let TrainOutcome::Done { steps, seconds, skipped, .. } = ended else { return Err(StudyInterrupt::Stopped) };
        if p.config.supernet.batch_norms == BatchNorms::Shared {
            let loader = p.supernet_loader()?;
            statistics::track(p, &p.supernet(&own, &loader), &loader, &store, steps)?;
        }
        if skipped > 0 {
            let text =
                format!("Training the {name} supernet left out {skipped} of {steps} steps that were not finite.");
            self.caveat(text)?;
        }
        let mut about = p.about();
        about.insert(SECONDS.to_string(), seconds.to_string());
        weights::save(&path, &store.named(), &about)?;
        CheckpointFiles::new(checkpoint).remove();
        Ok(seconds)
    }
}
