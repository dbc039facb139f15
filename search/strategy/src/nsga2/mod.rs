//! NSGA-II (Deb et al., 2002) on genomes: parents by constrained domination and crowding, the best of parents and
//! children live on.
//!
//! Children come of two parents with probability `crossover`, else of one, and mutate ([`vary`]).

mod fronts;
mod vary;

use std::collections::HashSet;

use foldhash::fast::FixedState;
use mobilenas_space::{Domain, Genome};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng as _};
use rayon::prelude::*;
use smallvec::SmallVec;

use super::{Observation, Strategy, dominates};

/// Draws before a child that is known is given out again.
const DRAWS: usize = 20;

/// Children that are drawn from one stream of random numbers. Streams may be drawn from side by side, and how many are
/// changes no child.
const STREAM: usize = 25;

/// A genome that was scored.
#[derive(Clone, Debug)]
struct One {
    genome: Genome,
    scores: Vec<f64>,
    violation: f64,
    /// 0 on the first front.
    rank: usize,
    /// How lonely it is on its front.
    crowding: f64,
}

impl One {
    /// Constrained domination: within the bounds before outside, nearer to them before farther, then by the scores.
    fn beats(&self, other: &One) -> bool {
        match (self.violation > 0.0, other.violation > 0.0) {
            (false, true) => true,
            (true, false) => false,
            (true, true) => self.violation < other.violation,
            (false, false) => dominates(&self.scores, &other.scores),
        }
    }

    /// Domination decides, then loneliness, whatever the fronts: the end of a later front is a rarer parent than one in the
    /// crowd of an earlier.
    fn wins_against(&self, other: &One) -> bool {
        self.beats(other) || (!other.beats(self) && self.crowding > other.crowding)
    }
}

/// The elitist genetic algorithm for several objectives.
#[derive(Clone, Debug)]
pub struct Nsga2 {
    population: usize,
    crossover: f64,
    mutation: Option<f64>,
    alive: Vec<One>,
    children: Vec<One>,
    known: HashSet<Genome, FixedState>,
}

impl Nsga2 {
    /// With so many alive; children of two parents with probability `crossover`; each knob mutated with probability
    /// `mutation`, by default one knob a child on average.
    pub fn new(population: usize, crossover: f64, mutation: Option<f64>) -> Nsga2 {
        let (population, crossover) = (population.max(2), crossover.clamp(0.0, 1.0));
        let mutation = mutation.map(|m| m.clamp(0.0, 1.0));
        Nsga2 { population, crossover, mutation, alive: Vec::new(), children: Vec::new(), known: HashSet::default() }
    }

    /// The genomes of the first front.
    pub fn front(&self) -> impl Iterator<Item = &Genome> {
        self.alive.iter().filter(|o| o.rank == 0 && o.violation <= 0.0).map(|o| &o.genome)
    }

    fn parent(&self, rng: &mut impl Rng) -> &One {
        let mut draw = || &self.alive[rng.random_range(0..self.alive.len())];
        let (a, b) = (draw(), draw());
        if b.wins_against(a) { b } else { a }
    }

    fn child(&self, domain: &Domain, rng: &mut impl Rng) -> Genome {
        if self.alive.is_empty() {
            return domain.sample(rng);
        }
        let mut choices: SmallVec<[u8; 40]> = self.parent(rng).genome.choices().into();
        if rng.random_bool(self.crossover) {
            vary::cross(&mut choices, self.parent(rng).genome.choices(), domain, rng);
        }
        let rate = self.mutation.unwrap_or(1.0 / domain.free().len().max(1) as f64);
        vary::mutate(&mut choices, domain, rate, rng);
        domain.genome(choices).unwrap_or_else(|| domain.sample(rng))
    }

    /// A child that is not known, if a few draws find one.
    fn fresh(&self, domain: &Domain, rng: &mut impl Rng, known: impl Fn(&Genome) -> bool) -> Genome {
        let mut genome = self.child(domain, rng);
        for _ in 0..DRAWS {
            if !known(&genome) {
                break;
            }
            genome = self.child(domain, rng);
        }
        genome
    }

    /// So many children of one stream, none of which is known.
    fn stream(&self, domain: &Domain, n: usize, rng: &mut impl Rng) -> Vec<Genome> {
        (0..n).map(|_| self.fresh(domain, rng, |g| self.known.contains(g))).collect()
    }
}

impl Strategy for Nsga2 {
    fn name(&self) -> &'static str {
        "nsga2"
    }

    fn ask(&mut self, domain: &Domain, n: usize, mut rng: &mut dyn Rng) -> Vec<Genome> {
        let sizes = (0..n.div_ceil(STREAM)).map(|k| STREAM.min(n - k * STREAM));
        let streams: Vec<(usize, ChaCha8Rng)> = sizes.map(|n| (n, ChaCha8Rng::from_rng(&mut *rng))).collect();
        let draw = |(n, mut rng): (usize, ChaCha8Rng)| self.stream(domain, n, &mut rng);
        let drawn: Vec<Vec<Genome>> = match streams.len() {
            // A thread is not woken for a few.
            0 | 1 => streams.into_iter().map(draw).collect(),
            _ => streams.into_par_iter().map(draw).collect(),
        };
        let mut asked: Vec<Genome> = Vec::with_capacity(n);
        let mut own = HashSet::with_capacity_and_hasher(n, FixedState::default());
        for mut genome in drawn.into_iter().flatten() {
            if own.contains(&genome) {
                genome = self.fresh(domain, &mut rng, |g| self.known.contains(g) || own.contains(g));
            }
            own.insert(genome.clone());
            asked.push(genome);
        }
        asked
    }

    fn tell(&mut self, done: &[Observation]) {
        for t in done {
            self.known.insert(t.genome.clone());
            // What a bound on latency ended has no scores, but is worth something while nothing is within the bounds.
            let scores = match &t.scores {
                Some(scores) => scores.clone(),
                None if t.violation > 0.0 => Vec::new(),
                None => continue,
            };
            let (genome, violation) = (t.genome.clone(), t.violation);
            self.children.push(One { genome, scores, violation, rank: 0, crowding: 0.0 });
            if self.children.len() >= self.population {
                self.alive.append(&mut self.children);
                self.alive = fronts::survivors(std::mem::take(&mut self.alive), self.population);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tournament_goes_by_the_bounds_then_by_domination_then_by_loneliness() {
        let one = |violation, scores: [f64; 2], rank, crowding| One {
            genome: Domain::new([2]).smallest(),
            scores: scores.to_vec(),
            violation,
            rank,
            crowding,
        };
        let (front, end) = (one(0.0, [2.0, 2.0], 0, 0.1), one(0.0, [3.0, 1.0], 1, f64::INFINITY));
        assert!(end.wins_against(&front) && !front.wins_against(&end), "neither dominates: the lonelier one");
        let worse = one(0.0, [1.0, 2.0], 1, f64::INFINITY);
        assert!(front.wins_against(&worse) && !worse.wins_against(&front));
        let (near, far) = (one(0.1, [9.0, 9.0], 2, f64::INFINITY), one(0.2, [9.0, 9.0], 3, f64::INFINITY));
        assert!(worse.wins_against(&near) && near.wins_against(&far) && !far.wins_against(&worse));
    }
}
