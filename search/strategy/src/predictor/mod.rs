//! Predictor-guided search. After some random trials, a regression of each objective on the knobs is fitted, NSGA-II
//! searches the models, and its Pareto front is proposed next. Each trial that was predicted before it was scored tests
//! the predictor.

mod regressor;

use std::collections::{HashMap, HashSet, VecDeque};

use mobilenas_record::rank;
use mobilenas_record::run::PredictorFit;
use mobilenas_space::{Domain, Genome};
use rand::seq::SliceRandom as _;
use rand::{Rng, RngExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::nsga2::{Nsga2, Nsga2Settings};
use crate::{Benchmark, Observation, Settings, SpaceInfo, Strategy, StrategyKind};
use regressor::{Model, features};

pub(crate) const KIND: StrategyKind = StrategyKind {
    benchmark: Benchmark { settings: r#"{"initial_random": 40}"#, max_candidates: 400, batch: 20 },
    ..StrategyKind::new::<PredictorSettings>(
        "predictor",
        "fits a regression of the objectives on the scored trials; NSGA-II on the fitted models proposes the next ones",
    )
};

/// Population and generations of NSGA-II on the models.
const INNER: (usize, usize) = (64, 30);

/// Settings of the predictor.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct PredictorSettings {
    /// Random trials before the first fit.
    #[schemars(range(min = 5, max = 1000000))]
    initial_random: usize,
    /// Share of random trials after the first fit.
    #[schemars(range(min = 0, max = 1))]
    exploration: f64,
}

impl Default for PredictorSettings {
    fn default() -> PredictorSettings {
        PredictorSettings { initial_random: 16, exploration: 0.1 }
    }
}

impl Settings for PredictorSettings {
    fn build(&self, _space: &SpaceInfo) -> Box<dyn Strategy> {
        let settings = PredictorSettings {
            initial_random: self.initial_random.max(5),
            exploration: self.exploration.clamp(0.0, 1.0),
        };
        Box::new(Predictor {
            settings,
            scored: Vec::new(),
            known: HashSet::new(),
            fitted_on: 0,
            models: Vec::new(),
            proposals: VecDeque::new(),
            predictions: HashMap::new(),
            tested: Vec::new(),
            fit_start: 0,
            fits: Vec::new(),
        })
    }
}

struct Predictor {
    settings: PredictorSettings,
    scored: Vec<(Genome, Vec<f64>)>,
    known: HashSet<Genome>,
    /// Trials that the models were fitted on.
    fitted_on: usize,
    /// One model per objective.
    models: Vec<Model>,
    /// The models' Pareto front, as far as it was not proposed yet.
    proposals: VecDeque<Genome>,
    /// Predictions of the first objective of genomes that are being scored.
    predictions: HashMap<Genome, f64>,
    /// Predictions and scores of the first objective.
    tested: Vec<(f64, f64)>,
    /// Where the pairs of the current fit begin in `tested`.
    fit_start: usize,
    /// Complete fits.
    fits: Vec<PredictorFit>,
}

impl Predictor {
    /// Fits the models again once a tenth more trials are scored, or when all proposals were tried.
    fn refit(&mut self, domain: &Domain, rng: &mut dyn Rng) {
        let n = self.scored.len();
        if n == self.fitted_on || (n * 10 < self.fitted_on * 11 && !self.proposals.is_empty()) {
            return;
        }
        self.finish_fit();
        self.fitted_on = n;
        let x: Vec<Vec<f64>> = self.scored.iter().map(|(g, _)| features(domain, g)).collect();
        let objectives = self.scored.first().map_or(0, |(_, s)| s.len());
        let seed = rng.next_u64();
        let values = |k: usize| -> Vec<f64> { self.scored.iter().map(|(_, s)| s[k]).collect() };
        self.models = (0..objectives).map(|k| Model::fit(&x, &values(k), seed)).collect();
        let mut inner = Nsga2::new(&Nsga2Settings { population: INNER.0, ..Nsga2Settings::default() });
        for _ in 0..INNER.1 {
            let asked = inner.ask(domain, INNER.0, rng);
            let predicted = self.predict(domain, asked);
            inner.tell(&predicted);
        }
        let mut front: Vec<Genome> = inner.front().filter(|g| !self.known.contains(g)).cloned().collect();
        front.sort();
        front.dedup();
        front.shuffle(rng);
        self.proposals = front.into();
    }

    /// Records the errors of the current fit.
    fn finish_fit(&mut self) {
        let pairs = &self.tested[self.fit_start..];
        if !pairs.is_empty() {
            let (mean_error, kendall) = errors(pairs);
            let (fitted_on, trials) = (self.fitted_on, pairs.len());
            self.fits.push(PredictorFit { space: None, fitted_on, trials, mean_error, kendall });
        }
        self.fit_start = self.tested.len();
    }

    /// The models' predictions as observations.
    fn predict(&self, domain: &Domain, genomes: Vec<Genome>) -> Vec<Observation> {
        let x: Vec<Vec<f64>> = genomes.iter().map(|g| features(domain, g)).collect();
        let predictions: Vec<Vec<f64>> = self.models.iter().map(|m| m.predict(&x)).collect();
        let observation = |(i, genome)| {
            let scores: Vec<f64> = predictions.iter().map(|p| p[i]).collect();
            let scores = scores.iter().all(|v| v.is_finite()).then_some(scores);
            Observation { genome, scores, violation: 0.0 }
        };
        genomes.into_iter().enumerate().map(observation).collect()
    }

    fn propose(&mut self, domain: &Domain, rng: &mut dyn Rng) -> Genome {
        if self.scored.len() < self.settings.initial_random || rng.random_bool(self.settings.exploration) {
            return domain.sample(rng);
        }
        match self.proposals.pop_front() {
            Some(genome) => genome,
            None => {
                let parent = &self.scored[rng.random_range(0..self.scored.len())].0;
                domain.mutate(parent, 0.1, rng)
            }
        }
    }
}

/// Mean absolute error and Kendall's tau of pairs of prediction and score.
fn errors(pairs: &[(f64, f64)]) -> (f64, Option<f64>) {
    let (predicted, scored): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let error = pairs.iter().map(|(a, b)| (a - b).abs()).sum::<f64>() / pairs.len().max(1) as f64;
    (error, rank::kendall(&predicted, &scored))
}

impl Strategy for Predictor {
    fn ask(&mut self, domain: &Domain, n: usize, rng: &mut dyn Rng) -> Vec<Genome> {
        if self.scored.len() >= self.settings.initial_random {
            self.refit(domain, rng);
        }
        let asked: Vec<Genome> = (0..n).map(|_| self.propose(domain, rng)).collect();
        if !self.models.is_empty() {
            for o in self.predict(domain, asked.clone()) {
                if let Some(scores) = o.scores {
                    self.predictions.insert(o.genome, scores[0]);
                }
            }
        }
        asked
    }

    fn tell(&mut self, observations: &[Observation]) {
        for o in observations {
            self.known.insert(o.genome.clone());
            let prediction = self.predictions.remove(&o.genome);
            if let Some(scores) = o.feasible() {
                self.tested.extend(prediction.map(|p| (p, scores[0])));
                self.scored.push((o.genome.clone(), scores.to_vec()));
            }
        }
        // A genome that was asked for and not scored tests nothing.
        self.predictions.clear();
    }

    fn fits(&mut self) -> Vec<PredictorFit> {
        std::mem::take(&mut self.fits)
    }

    fn notes(&self) -> Vec<String> {
        let n = self.tested.len();
        let (error, tau) = errors(&self.tested);
        match tau {
            Some(tau) => vec![format!(
                "The predictor predicted the first objective of {n} trials before they were scored: mean absolute error \
                 {error:.3}, Kendall's tau {tau:.2}."
            )],
            None => vec![format!("The predictor predicted {n} trials: too few to estimate its error.")],
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::{Capabilities, Observation, analytic};

    #[test]
    fn fits_are_tested_on_trials_that_they_were_not_fitted_on() {
        let space = analytic::space(6);
        let mut strategy = crate::tests::config(r#"{"predictor": {"initial_random": 10}}"#).build(&space);
        let (mut all, mut known) = (Vec::new(), 0);
        for step in 0..40 {
            let asked = strategy.ask(&space.domain, 4, &mut crate::tests::rng(4, step));
            let before = known;
            known += asked.len();
            let scored = |g| analytic::observe(g, &Capabilities::ANY);
            strategy.tell(&asked.into_iter().map(scored).collect::<Vec<Observation>>());
            for f in strategy.fits() {
                assert!(f.fitted_on >= 10 && f.trials > 0 && f.fitted_on + f.trials <= before, "{f:?} before {before}");
                assert!(f.mean_error.is_finite() && f.kendall.is_none_or(|t| (-1.0..=1.0).contains(&t)));
                all.push(f);
            }
        }
        assert_eq!(all.first().unwrap().fitted_on, 12, "{all:?}");
        // The error falls with more trials.
        let sum = |some: &[mobilenas_record::run::PredictorFit]| some.iter().map(|f| f.mean_error).sum::<f64>();
        assert!(sum(&all[all.len() - 3..]) < sum(&all[..3]), "{all:?}");
    }
}
