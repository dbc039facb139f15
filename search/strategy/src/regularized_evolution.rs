//! Regularized evolution (Real et al., 2019): the best of a few drawn from the youngest `population` is mutated; the
//! oldest leave. With several objectives, the best is one that fewest of the others drawn dominate.

use std::collections::VecDeque;

use mobilenas_space::{Domain, Genome};
use rand::{Rng, RngExt};

use super::{Observation, Strategy, dominates};

/// Ageing evolution.
#[derive(Clone, Debug)]
pub struct RegularizedEvolution {
    population: usize,
    sample: usize,
    mutation: f64,
    alive: VecDeque<(Genome, Vec<f64>)>,
}

impl RegularizedEvolution {
    /// With so many alive, parents chosen among `sample`, and each further knob mutated with probability `mutation`.
    pub fn new(population: usize, sample: usize, mutation: f64) -> RegularizedEvolution {
        RegularizedEvolution { population: population.max(1), sample: sample.max(1), mutation, alive: VecDeque::new() }
    }

    fn parent(&self, rng: &mut dyn Rng) -> Option<&Genome> {
        let drawn: Vec<usize> = (0..self.sample).map(|_| rng.random_range(0..self.alive.len())).collect();
        let beaten = |i: usize| drawn.iter().filter(|j| dominates(&self.alive[**j].1, &self.alive[i].1)).count();
        // The first of those least dominated: the order of drawing decides, and that is random.
        drawn.iter().copied().min_by_key(|i| beaten(*i)).map(|i| &self.alive[i].0)
    }
}

impl Strategy for RegularizedEvolution {
    fn name(&self) -> &'static str {
        "regularized_evolution"
    }

    fn ask(&mut self, domain: &Domain, n: usize, rng: &mut dyn Rng) -> Vec<Genome> {
        let mut one = || {
            if self.alive.len() < self.population {
                return domain.sample(rng);
            }
            match self.parent(rng) {
                Some(parent) => domain.mutate(parent, self.mutation, rng),
                None => domain.sample(rng),
            }
        };
        (0..n).map(|_| one()).collect()
    }

    fn tell(&mut self, done: &[Observation]) {
        for t in done {
            if let Some(scores) = t.feasible() {
                self.alive.push_back((t.genome.clone(), scores.to_vec()));
                if self.alive.len() > self.population {
                    self.alive.pop_front();
                }
            }
        }
    }
}
