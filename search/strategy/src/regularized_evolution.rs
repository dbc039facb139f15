//! Regularized evolution (Real et al., 2019): a tournament among the youngest genomes gives the parent, a mutation the
//! child, and the oldest genome dies. With several objectives, the genome that fewest of its sample dominate wins.

use std::collections::VecDeque;

use mobilenas_record::pareto::dominates;
use mobilenas_space::{Domain, Genome};
use rand::{Rng, RngExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Benchmark, Observation, Settings, SpaceInfo, Strategy, StrategyKind};

pub(crate) const KIND: StrategyKind = StrategyKind {
    benchmark: Benchmark { settings: r#"{"population": 100, "sample": 25}"#, ..Benchmark::DEFAULT },
    ..StrategyKind::new::<RegularizedEvolutionSettings>(
        "regularized_evolution",
        "mutates the best of a random sample of the youngest genomes (Real et al., 2019)",
    )
};

/// Settings of regularized evolution.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RegularizedEvolutionSettings {
    /// Genomes in the population.
    #[schemars(range(min = 1, max = 1000000))]
    population: usize,
    /// Genomes drawn for a tournament.
    #[schemars(range(min = 1, max = 1000000))]
    sample: usize,
    /// Probability that a further knob mutates; one always does.
    #[schemars(range(min = 0, max = 1))]
    mutation: f64,
}

impl Default for RegularizedEvolutionSettings {
    fn default() -> RegularizedEvolutionSettings {
        RegularizedEvolutionSettings { population: 16, sample: 4, mutation: 0.1 }
    }
}

impl Settings for RegularizedEvolutionSettings {
    fn build(&self, _space: &SpaceInfo) -> Box<dyn Strategy> {
        Box::new(RegularizedEvolution {
            size: self.population.max(1),
            sample: self.sample.max(1),
            mutation: self.mutation,
            population: VecDeque::new(),
        })
    }
}

struct RegularizedEvolution {
    size: usize,
    sample: usize,
    mutation: f64,
    /// Genomes with their scores, the oldest first.
    population: VecDeque<(Genome, Vec<f64>)>,
}

impl RegularizedEvolution {
    fn tournament(&self, rng: &mut dyn Rng) -> Option<&Genome> {
        let drawn: Vec<usize> = (0..self.sample).map(|_| rng.random_range(0..self.population.len())).collect();
        let scores = |i: usize| &self.population[i].1;
        let dominated_by = |i: usize| drawn.iter().filter(|j| dominates(scores(**j), scores(i))).count();
        // Among equals the first drawn wins; the order of drawing is random.
        drawn.iter().copied().min_by_key(|i| dominated_by(*i)).map(|i| &self.population[i].0)
    }
}

impl Strategy for RegularizedEvolution {
    fn ask(&mut self, domain: &Domain, n: usize, rng: &mut dyn Rng) -> Vec<Genome> {
        let mut child = || {
            if self.population.len() < self.size {
                return domain.sample(rng);
            }
            match self.tournament(rng) {
                Some(parent) => domain.mutate(parent, self.mutation, rng),
                None => domain.sample(rng),
            }
        };
        (0..n).map(|_| child()).collect()
    }

    fn tell(&mut self, observations: &[Observation]) {
        for o in observations {
            if let Some(scores) = o.feasible() {
                self.population.push_back((o.genome.clone(), scores.to_vec()));
                if self.population.len() > self.size {
                    self.population.pop_front();
                }
            }
        }
    }
}
