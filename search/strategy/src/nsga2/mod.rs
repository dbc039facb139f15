//! NSGA-II (Deb et al., 2002) on genomes: parents by binary tournament on constrained domination and crowding distance,
//! simulated binary crossover and polynomial mutation, and the best of parents and offspring as the next population.

mod individual;
mod selection;
mod variation;

use std::collections::HashSet;

use foldhash::fast::FixedState;
use mobilenas_space::{Domain, Genome};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng as _};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use self::individual::Individual;
use crate::{Benchmark, Observation, Settings, SpaceInfo, Strategy, StrategyKind};

pub(crate) const KIND: StrategyKind = StrategyKind {
    benchmark: Benchmark { settings: r#"{"population": 100}"#, ..Benchmark::DEFAULT },
    ..StrategyKind::new::<Nsga2Settings>("nsga2", "NSGA-II with constrained domination (Deb et al., 2002)")
};

/// Draws before a known child is accepted.
const DRAWS: usize = 20;

/// Children per stream of random numbers. Streams are drawn in parallel; the number of threads changes no child.
const STREAM: usize = 25;

/// Settings of NSGA-II.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Nsga2Settings {
    /// Genomes in the population.
    #[schemars(range(min = 2, max = 100000))]
    pub population: usize,
    /// Probability that a child has two parents. Half of the knobs they differ in then get a choice near one of theirs.
    #[schemars(range(min = 0, max = 1))]
    pub crossover: f64,
    /// Probability that a knob of a child mutates, most often to the next choice; one knob a child on average if left out.
    #[schemars(range(min = 0, max = 1))]
    pub mutation: Option<f64>,
}

impl Default for Nsga2Settings {
    fn default() -> Nsga2Settings {
        Nsga2Settings { population: 20, crossover: 0.9, mutation: None }
    }
}

impl Settings for Nsga2Settings {
    fn build(&self, _space: &SpaceInfo) -> Box<dyn Strategy> {
        Box::new(Nsga2::new(self))
    }
}

pub(crate) struct Nsga2 {
    size: usize,
    crossover: f64,
    mutation: Option<f64>,
    population: Vec<Individual>,
    offspring: Vec<Individual>,
    known: HashSet<Genome, FixedState>,
}

impl Nsga2 {
    pub fn new(settings: &Nsga2Settings) -> Nsga2 {
        Nsga2 {
            size: settings.population.max(2),
            crossover: settings.crossover.clamp(0.0, 1.0),
            mutation: settings.mutation.map(|m| m.clamp(0.0, 1.0)),
            population: Vec::new(),
            offspring: Vec::new(),
            known: HashSet::default(),
        }
    }

    /// The feasible genomes of the first front.
    pub fn front(&self) -> impl Iterator<Item = &Genome> {
        self.population.iter().filter(|i| i.rank == 0 && i.violation <= 0.0).map(|i| &i.genome)
    }

    fn tournament(&self, rng: &mut impl Rng) -> &Individual {
        let mut draw = || &self.population[rng.random_range(0..self.population.len())];
        let (a, b) = (draw(), draw());
        if b.wins_against(a) { b } else { a }
    }

    fn child(&self, domain: &Domain, rng: &mut impl Rng) -> Genome {
        if self.population.is_empty() {
            return domain.sample(rng);
        }
        let mut choices: SmallVec<[u8; 40]> = self.tournament(rng).genome.choices().into();
        if rng.random_bool(self.crossover) {
            variation::crossover(&mut choices, self.tournament(rng).genome.choices(), domain, rng);
        }
        let probability = self.mutation.unwrap_or(1.0 / domain.free().len().max(1) as f64);
        variation::mutate(&mut choices, domain, probability, rng);
        domain.genome(choices).unwrap_or_else(|| domain.sample(rng))
    }

    /// A child that is not known, if a few draws find one.
    fn unknown_child(&self, domain: &Domain, rng: &mut impl Rng, known: impl Fn(&Genome) -> bool) -> Genome {
        let mut genome = self.child(domain, rng);
        for _ in 0..DRAWS {
            if !known(&genome) {
                break;
            }
            genome = self.child(domain, rng);
        }
        genome
    }
}

impl Strategy for Nsga2 {
    fn ask(&mut self, domain: &Domain, n: usize, mut rng: &mut dyn Rng) -> Vec<Genome> {
        let sizes = (0..n.div_ceil(STREAM)).map(|k| STREAM.min(n - k * STREAM));
        let streams: Vec<(usize, ChaCha8Rng)> = sizes.map(|n| (n, ChaCha8Rng::from_rng(&mut *rng))).collect();
        let draw = |(n, mut rng): (usize, ChaCha8Rng)| -> Vec<Genome> {
            (0..n).map(|_| self.unknown_child(domain, &mut rng, |g| self.known.contains(g))).collect()
        };
        let drawn: Vec<Vec<Genome>> = match streams.len() {
            // Waking a thread would take longer.
            0 | 1 => streams.into_iter().map(draw).collect(),
            _ => streams.into_par_iter().map(draw).collect(),
        };
        let mut asked: Vec<Genome> = Vec::with_capacity(n);
        let mut own = HashSet::with_capacity_and_hasher(n, FixedState::default());
        for mut genome in drawn.into_iter().flatten() {
            if own.contains(&genome) {
                genome = self.unknown_child(domain, &mut rng, |g| self.known.contains(g) || own.contains(g));
            }
            own.insert(genome.clone());
            asked.push(genome);
        }
        asked
    }

    fn tell(&mut self, observations: &[Observation]) {
        for o in observations {
            self.known.insert(o.genome.clone());
            // A genome that a bound on latency ended has no scores, but is worth something while none is feasible.
            let scores = match &o.scores {
                Some(scores) => scores.clone(),
                None if o.violation > 0.0 => Vec::new(),
                None => continue,
            };
            let (genome, violation) = (o.genome.clone(), o.violation);
            self.offspring.push(Individual { genome, scores, violation, rank: 0, crowding_distance: 0.0 });
            if self.offspring.len() >= self.size {
                self.population.append(&mut self.offspring);
                self.population = selection::best(std::mem::take(&mut self.population), self.size);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tests::rng;

    fn sum(genome: &Genome) -> f64 {
        genome.choices().iter().map(|c| f64::from(*c)).sum()
    }

    #[test]
    fn a_tournament_goes_by_violation_then_domination_then_crowding_distance() {
        let individual = |violation, scores: [f64; 2], rank, crowding_distance| Individual {
            genome: Domain::new([2]).smallest(),
            scores: scores.to_vec(),
            violation,
            rank,
            crowding_distance,
        };
        let (front, end) = (individual(0.0, [2.0, 2.0], 0, 0.1), individual(0.0, [3.0, 1.0], 1, f64::INFINITY));
        assert!(end.wins_against(&front) && !front.wins_against(&end), "neither dominates");
        let worse = individual(0.0, [1.0, 2.0], 1, f64::INFINITY);
        assert!(front.wins_against(&worse) && !worse.wins_against(&front));
        let (near, far) = (individual(0.1, [9.0; 2], 2, f64::INFINITY), individual(0.2, [9.0; 2], 3, f64::INFINITY));
        assert!(worse.wins_against(&near) && near.wins_against(&far) && !far.wins_against(&worse));
    }

    #[test]
    fn the_number_of_threads_changes_no_child() {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let settings = Nsga2Settings { population: 60, ..Nsga2Settings::default() };
            let (domain, mut strategy, mut all) = (Domain::new(vec![5; 12]), Nsga2::new(&settings), Vec::new());
            for step in 0..6 {
                let asked = pool.install(|| strategy.ask(&domain, 60, &mut rng(5, step)));
                let observation = |g: Genome| {
                    let scores = vec![sum(&g) + f64::from(g.choices()[0]), -sum(&g)];
                    Observation { scores: Some(scores), genome: g, violation: 0.0 }
                };
                let observations: Vec<Observation> = asked.into_iter().map(observation).collect();
                strategy.tell(&observations);
                all.extend(observations);
            }
            all
        };
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn feasible_genomes_come_first() {
        // Feasible only where the first knob is 0; the scores pull the other way.
        let domain = Domain::new(vec![8; 6]);
        let mut strategy = Nsga2::new(&Nsga2Settings::default());
        for step in 0..60 {
            let asked = strategy.ask(&domain, 20, &mut rng(3, step));
            let observation = |genome: Genome| {
                let first = f64::from(genome.choices()[0]);
                let scores = Some(vec![first * 10.0 + sum(&genome), -sum(&genome)]);
                Observation { genome, scores, violation: first / 7.0 }
            };
            strategy.tell(&asked.into_iter().map(observation).collect::<Vec<_>>());
        }
        let front: Vec<&Genome> = strategy.front().collect();
        assert!(front.len() > 5 && front.iter().all(|g| g.choices()[0] == 0), "{front:?}");
    }
}
