//! One supernet for each rule.

use mobilenas_torch::{Store, weights};

use super::{Halt, Study, statistics};
use crate::config::{self, BatchNorms};
use crate::evaluate::inherited::Inheriting;
use crate::run::RunError;
use crate::train::supernet::Supernet;
use crate::train::{Ended, Plan, Trainer};

/// Word in a weights file: seconds that the training took.
const SECONDS: &str = "seconds";

impl Study<'_> {
    /// How the supernet of a rule is trained.
    fn by(&self, rule: usize) -> config::Supernet {
        let (by, mut own) = (&self.plan.config.study.rules[rule], self.plan.prepared.config.supernet.clone());
        own.rule = by.rule;
        own.recipe.epochs = by.epochs.unwrap_or(own.recipe.epochs);
        own
    }

    fn supernet_file(&self, rule: usize) -> String {
        format!("supernet-{}.safetensors", self.plan.config.study.rules[rule].rule.name())
    }

    /// Trains the supernet of a rule, if it is not. Gives the seconds it took.
    pub(super) fn supernet(&mut self, rule: usize) -> Result<f64, Halt> {
        let (p, own) = (&self.plan.prepared, self.by(rule));
        let path = self.folder.path(&self.supernet_file(rule));
        if path.exists() {
            let (_, about) = weights::load(&path)?;
            return Ok(about.get(SECONDS).and_then(|s| s.parse().ok()).unwrap_or(0.0));
        }
        let (name, feed) = (own.rule.name(), p.supernet_feed()?);
        let plan = Plan { recipe: own.recipe.clone(), ..p.supernet_plan() };
        let mut store = p.supernet_store()?;
        let steps = (own.recipe.epochs + own.recipe.cooldown) * feed.steps(1.0).max(1) as f64;
        let mut lesson = Supernet::new(&p.space, &own, p.config.seed, steps.round() as u64)
            .at_any_side(feed.recipe().sampler.scale.is_some());
        let trainer = Trainer {
            plan: &plan,
            feed: &feed,
            checkpoint: self.folder.path(&format!("supernet-{name}.checkpoint.safetensors")),
            digest: format!("{}-{name}", self.plan.digest),
            clock: self.clock,
            stop: self.stop,
            diary: Some(self.folder.path(&format!("training/supernet-{name}.jsonl"))),
        };
        let bar = (self.progress)(name);
        let ended = trainer.run(&mut store, &bar, &mut lesson);
        let Ended::Done { steps, seconds, skipped, .. } = ended? else { return Err(Halt::Stopped) };
        if p.config.supernet.batch_norms == BatchNorms::Shared {
            statistics::track(p, &lesson, &feed, &store, steps)?;
        }
        bar.done();
        if skipped > 0 {
            let text =
                format!("Training the {name} supernet left out {skipped} of {steps} steps that were not finite.");
            self.caveat(text)?;
        }
        let mut about = p.about()?;
        about.insert(SECONDS.to_string(), seconds.to_string());
        weights::save(&path, &store.named(), &about)?;
        trainer.forget();
        Ok(seconds)
    }

    /// The supernet of a rule with the images that its subnets are scored on.
    pub(super) fn inheriting(&self, rule: usize) -> Result<Inheriting, RunError> {
        let p = &self.plan.prepared;
        let mut store: Store = p.supernet_store()?;
        store.fill(&weights::load(&self.folder.path(&self.supernet_file(rule)))?.0)?;
        let limit = p.config.scoring.images.unwrap_or(usize::MAX);
        let scored = (&p.split.search_val, limit, p.config.scoring.batch);
        Ok(Inheriting::new(store, &p.train, scored, &p.calibration())?)
    }
}
