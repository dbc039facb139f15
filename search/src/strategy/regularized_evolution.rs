//! Regularized evolution (Real et al., 2019): the best of a few drawn from the youngest `population` is mutated; the
//! oldest leave. With several objectives, the best is one that fewest of the others drawn dominate.

use std::collections::VecDeque;

use mobilenas_space::{Genome, Space};
use rand::{Rng, RngExt};

use super::{Strategy, Told, dominates};

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

    fn ask(&mut self, space: &Space, n: usize, rng: &mut dyn Rng) -> Vec<Genome> {
        let mut one = || {
            if self.alive.len() < self.population {
                return space.sample(rng);
            }
            match self.parent(rng) {
                Some(parent) => space.mutate(parent, self.mutation, rng),
                None => space.sample(rng),
            }
        };
        (0..n).map(|_| one()).collect()
    }

    fn tell(&mut self, done: &[Told]) {
        for t in done {
            if let Some(scores) = &t.scores {
                self.alive.push_back((t.genome.clone(), scores.clone()));
                if self.alive.len() > self.population {
                    self.alive.pop_front();
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use mobilenas_space::Design;

    use super::*;
    use crate::seed::{Purpose, rng};
    use crate::strategy::Random;

    fn space() -> Space {
        let knobs = BTreeMap::from([("resolution".to_string(), vec![64])]);
        Space::new(&Design { family: "mobilevit_v1".into(), width: 1.0, divisor: 8, knobs, classes: 10 }).unwrap()
    }

    /// A known optimum: the largest network. Score: how many knobs stand as in it.
    fn likeness(space: &Space, genome: &Genome) -> f64 {
        let (a, b) = (space.values(genome), space.values(&space.largest()));
        a.iter().filter(|(k, v)| b.get(*k) == Some(v)).count() as f64
    }

    fn best(strategy: &mut dyn Strategy, seed: u64) -> f64 {
        let space = space();
        let mut best = f64::MIN;
        for step in 0..200 {
            let asked = strategy.ask(&space, 1, &mut rng(seed, Purpose::Ask, step, 0));
            let told: Vec<Told> = asked
                .into_iter()
                .map(|genome| Told { scores: Some(vec![likeness(&space, &genome)]), genome })
                .collect();
            best = told.iter().filter_map(|t| t.scores.as_ref()).fold(best, |b, s| b.max(s[0]));
            strategy.tell(&told);
        }
        best
    }

    #[test]
    fn evolution_climbs_higher_than_chance() {
        let (mut wins, mut losses) = (0, 0);
        for seed in 0..10 {
            let (e, r) = (best(&mut RegularizedEvolution::new(20, 5, 0.1), seed), best(&mut Random, seed));
            wins += usize::from(e > r);
            losses += usize::from(e < r);
        }
        assert!(wins >= 9 && losses == 0, "{wins} wins, {losses} losses of 10");
    }

    #[test]
    fn telling_the_journal_again_brings_it_to_where_it_was() {
        let space = space();
        let mut live = RegularizedEvolution::new(5, 3, 0.2);
        let mut journal = Vec::new();
        for step in 0..30 {
            let asked = live.ask(&space, 2, &mut rng(1, Purpose::Ask, step, 0));
            let told: Vec<Told> = asked
                .into_iter()
                .map(|g| Told { scores: (step % 4 != 0).then(|| vec![likeness(&space, &g), 1.0]), genome: g })
                .collect();
            live.tell(&told);
            journal.extend(told);
        }
        let mut replayed = RegularizedEvolution::new(5, 3, 0.2);
        replayed.tell(&journal);
        let ask = |s: &mut RegularizedEvolution| s.ask(&space, 8, &mut rng(1, Purpose::Ask, 99, 0));
        assert_eq!(ask(&mut live), ask(&mut replayed));
    }
}
