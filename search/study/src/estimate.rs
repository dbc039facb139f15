//! How long a study will take: a few steps are timed on noise.

use mobilenas_host::Clock;

use crate::StudyPlan;
use mobilenas_pipeline::config;
use mobilenas_pipeline::experiment::{ExperimentError, estimate};

impl StudyPlan {
    /// Estimated seconds of supernets, searches, trainings of drawn networks, trainings of found and published ones. Scores
    /// that strategies share are counted as if they did not: the searches take at most so long.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn estimate(&mut self, clock: &dyn Clock) -> Result<[f64; 4], ExperimentError> {
        let (s, n) = (self.config.study.clone(), self.experiments.all().len());
        let threads = self.experiments.config.threads;
        let (mut supernets, mut searches, mut drawn, mut compared, mut found_each) = (0.0, 0.0, 0.0, 0.0, 0.0);
        let budget = estimate::BUDGET / (n * (s.rules.len() + usize::from(s.threads.is_some()))) as f64;
        for space in 0..n {
            let settings: Vec<_> = (0..s.rules.len()).map(|rule| self.trained_by(rule, space)).collect();
            let p = &mut self.experiments.all_mut()[space];
            let own = p.config.clone();
            let mut timed = |supernet: &config::SupernetConfig| {
                let c = &mut p.config;
                c.supernet = supernet.clone();
                (c.retrain.best, c.retrain.variants) = (1, false);
                (c.latency.warmup_ms, c.latency.max_ms) = (0, 0);
                let found = p.estimate(clock, budget);
                p.config = own.clone();
                found
            };
            let (mut scores, mut retrain) = (0.0, 0.0);
            for supernet in &settings {
                let found = timed(supernet)?;
                supernets += found[0];
                (scores, retrain) = (found[1], found[2]);
            }
            if let (Some(own), Some(supernet)) = (s.threads, settings.first()) {
                tch::set_num_threads(own as i32);
                let found = timed(supernet);
                tch::set_num_threads(threads as i32);
                retrain = found?[2];
            }
            // As if those side by side did not slow each other down.
            retrain /= s.workers.max(1) as f64;
            let share = s.subnet_epochs.map_or(1.0, |e| e / own.retrain.recipe.epochs);
            // A fine-tuning is a part of a training, by its steps.
            let steps = own.retrain.recipe.epochs * p.split.train.len() as f64 / own.retrain.recipe.batch as f64;
            let finetuned = s.finetune.iter().map(|f| f.steps as f64).sum::<f64>() / steps * s.rules.len() as f64;
            drawn += retrain * s.subnets as f64 * (share * s.subnet_seeds as f64 + finetuned);
            let variants = p.space.family().variants().into_iter();
            let published = variants.filter(|v| p.space.variant(v.id).is_ok()).count();
            compared += retrain * (published as u64 * s.retrain_seeds) as f64;
            // Trials and found networks are shared: as if equally.
            searches += scores / n as f64;
            found_each += retrain / n as f64;
        }
        let found = if s.seeds > 0 { self.experiment().config.retrain.best as u64 } else { 0 };
        Ok([
            supernets,
            searches * self.config.strategies().len() as f64 * s.seeds as f64,
            drawn,
            compared + found_each * (found * s.retrain_seeds) as f64,
        ])
    }

    /// What is studied, for people.
    pub fn summary(&self) -> String {
        let s = &self.config.study;
        let strategies: Vec<String> = self.config.strategies().iter().map(config::StrategyConfig::label).collect();
        format!(
            "{}\nstudy: {} drawn networks{}, {} trainings of each; supernets {}; {} searches of {} trials each: {}; {} \
             trainings of each found and published network, {} side by side",
            self.experiments.summary(),
            s.subnets,
            if self.experiments.named() { " of each space" } else { "" },
            s.subnet_seeds,
            s.rules.iter().map(|b| b.rule.name()).collect::<Vec<_>>().join(", "),
            s.seeds,
            self.experiment().config.search.trials,
            strategies.join(", "),
            s.retrain_seeds,
            s.workers,
        )
    }

    /// Estimated seconds, for people.
    pub fn estimate_in_words(&self, estimate: [f64; 4]) -> String {
        let [supernets, searches, drawn, published] = estimate.map(|s| s / 60.0);
        format!(
            "estimated time on this machine: supernets {supernets:.1} min, searches at most {searches:.1} min, drawn networks \
             {drawn:.1} min, found and published networks {published:.1} min; together {:.1} min",
            estimate.iter().sum::<f64>() / 60.0
        )
    }
}
