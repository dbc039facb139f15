//! Search by an accuracy predictor: models fitted on the scored trials say what to try next.
//!
//! After some random trials, a regression of every objective on the knobs is fitted, NSGA-II searches the models, and the
//! front that they foretell is tried next. Each trial that was foretold before it was scored measures the predictor.

use std::collections::{HashMap, HashSet, VecDeque};

use mobilenas_record::rank;
use mobilenas_record::run::PredictorFit;
use mobilenas_space::{Domain, Genome};
use rand::seq::SliceRandom as _;
use rand::{Rng, RngExt};

use super::regressor::{Model, features};
use super::{Nsga2, Observation, Strategy};

/// Population and generations of the search over the models.
const INNER: (usize, usize) = (64, 30);

/// A predictor and what it knows.
#[derive(Debug)]
pub struct Predictor {
    warm: usize,
    explore: f64,
    scored: Vec<(Genome, Vec<f64>)>,
    known: HashSet<Genome>,
    fitted_on: usize,
    models: Vec<Model>,
    proposed: VecDeque<Genome>,
    foretold: HashMap<Genome, f64>,
    /// What was foretold of the first objective, and what came.
    pairs: Vec<(f64, f64)>,
    /// Where the pairs of the current fit begin.
    since: usize,
    /// Fits whose pairs are complete.
    fits: Vec<PredictorFit>,
}

impl Predictor {
    /// Begins with so many random trials; later, each is drawn at random with probability `explore`.
    pub fn new(warm: usize, explore: f64) -> Predictor {
        Predictor {
            warm: warm.max(5),
            explore,
            scored: Vec::new(),
            known: HashSet::new(),
            fitted_on: 0,
            models: Vec::new(),
            proposed: VecDeque::new(),
            foretold: HashMap::new(),
            pairs: Vec::new(),
            since: 0,
            fits: Vec::new(),
        }
    }

    /// Fits afresh once a tenth more is known, or when all that was proposed has been tried.
    fn refit(&mut self, domain: &Domain, rng: &mut dyn Rng) {
        let known = self.scored.len();
        if known == self.fitted_on || (known * 10 < self.fitted_on * 11 && !self.proposed.is_empty()) {
            return;
        }
        self.close();
        self.fitted_on = known;
        let x: Vec<Vec<f64>> = self.scored.iter().map(|(g, _)| read(domain, g)).collect();
        let objectives = self.scored.first().map_or(0, |(_, s)| s.len());
        let seed = rng.next_u64();
        let values = |k: usize| -> Vec<f64> { self.scored.iter().map(|(_, s)| s[k]).collect() };
        self.models = (0..objectives).map(|k| Model::fit(&x, &values(k), seed)).collect();
        let mut inner = Nsga2::new(INNER.0, 0.9, None);
        for _ in 0..INNER.1 {
            let asked = inner.ask(domain, INNER.0, rng);
            let told = self.foretell(domain, asked);
            inner.tell(&told);
        }
        let mut front: Vec<Genome> = inner.front().filter(|g| !self.known.contains(g)).cloned().collect();
        front.sort();
        front.dedup();
        front.shuffle(rng);
        self.proposed = front.into();
    }

    /// Sums up what the current fit foretold, before it makes room for the next.
    fn close(&mut self) {
        let pairs = &self.pairs[self.since..];
        if !pairs.is_empty() {
            let (mean_error, kendall) = errors(pairs);
            self.fits.push(PredictorFit { fitted_on: self.fitted_on, trials: pairs.len(), mean_error, kendall });
        }
        self.since = self.pairs.len();
    }

    /// What the models say of genomes.
    fn foretell(&self, domain: &Domain, genomes: Vec<Genome>) -> Vec<Observation> {
        let x: Vec<Vec<f64>> = genomes.iter().map(|g| read(domain, g)).collect();
        let said: Vec<Vec<f64>> = self.models.iter().map(|m| m.predict(&x)).collect();
        let told = |(i, genome)| {
            let scores: Vec<f64> = said.iter().map(|v| v[i]).collect();
            let scores = scores.iter().all(|v| v.is_finite()).then_some(scores);
            Observation { genome, scores, violation: 0.0 }
        };
        genomes.into_iter().enumerate().map(told).collect()
    }

    fn next(&mut self, domain: &Domain, rng: &mut dyn Rng) -> Genome {
        if self.scored.len() < self.warm || rng.random_bool(self.explore.clamp(0.0, 1.0)) {
            return domain.sample(rng);
        }
        match self.proposed.pop_front() {
            Some(genome) => genome,
            None => {
                let best = &self.scored[rng.random_range(0..self.scored.len())].0;
                domain.mutate(best, 0.1, rng)
            }
        }
    }
}

/// Mean absolute error and Kendall's tau of what was foretold and what came.
fn errors(pairs: &[(f64, f64)]) -> (f64, Option<f64>) {
    let (said, came): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let error = pairs.iter().map(|(a, b)| (a - b).abs()).sum::<f64>() / pairs.len().max(1) as f64;
    (error, rank::kendall(&said, &came))
}

fn read(domain: &Domain, genome: &Genome) -> Vec<f64> {
    features(genome, domain.counts(), domain.free())
}

impl Strategy for Predictor {
    fn name(&self) -> &'static str {
        "predictor"
    }

    fn ask(&mut self, domain: &Domain, n: usize, rng: &mut dyn Rng) -> Vec<Genome> {
        if self.scored.len() >= self.warm {
            self.refit(domain, rng);
        }
        let asked: Vec<Genome> = (0..n).map(|_| self.next(domain, rng)).collect();
        if !self.models.is_empty() {
            for t in self.foretell(domain, asked.clone()) {
                if let Some(scores) = t.scores {
                    self.foretold.insert(t.genome, scores[0]);
                }
            }
        }
        asked
    }

    fn tell(&mut self, done: &[Observation]) {
        for t in done {
            self.known.insert(t.genome.clone());
            let foretold = self.foretold.remove(&t.genome);
            if let Some(scores) = t.feasible() {
                self.pairs.extend(foretold.map(|f| (f, scores[0])));
                self.scored.push((t.genome.clone(), scores.to_vec()));
            }
        }
        // What was asked for and went to no trial is nothing that was foretold.
        self.foretold.clear();
    }

    fn foretold(&mut self) -> Vec<PredictorFit> {
        std::mem::take(&mut self.fits)
    }

    fn notes(&self) -> Vec<String> {
        let n = self.pairs.len();
        let (error, tau) = errors(&self.pairs);
        match tau {
            Some(tau) => vec![format!(
                "The predictor foretold the first objective of {n} trials before they were scored: mean absolute error \
                 {error:.3}, Kendall's tau {tau:.2}."
            )],
            None => vec![format!("The predictor foretold {n} trials: too few to say how well.")],
        }
    }
}
