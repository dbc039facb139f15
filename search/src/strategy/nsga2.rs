//! NSGA-II (Deb et al., 2002) on genomes: parents by constrained domination and crowding, the best of parents and
//! children live on.
//!
//! Children: with probability `crossover` each knob comes from one of two parents; then knobs mutate, half of them to a choice
//! next to theirs, half to any other. Parents far apart on a front make children off it, so most have a single one.

use std::collections::HashSet;

use mobilenas_space::{Domain, Genome};
use rand::{Rng, RngExt};

use super::{Strategy, Told, dominates};

/// Draws before a child that is known is given out again.
const DRAWS: usize = 20;

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

    fn wins_against(&self, other: &One) -> bool {
        self.rank < other.rank || (self.rank == other.rank && self.crowding > other.crowding)
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
    known: HashSet<Genome>,
}

impl Nsga2 {
    /// With so many alive; children of two parents with probability `crossover`; each knob mutated with probability
    /// `mutation`, by default one knob a child on average.
    pub fn new(population: usize, crossover: f64, mutation: Option<f64>) -> Nsga2 {
        let population = population.max(2);
        Nsga2 { population, crossover, mutation, alive: Vec::new(), children: Vec::new(), known: HashSet::new() }
    }

    /// The genomes of the first front.
    pub fn front(&self) -> impl Iterator<Item = &Genome> {
        self.alive.iter().filter(|o| o.rank == 0 && o.violation <= 0.0).map(|o| &o.genome)
    }

    fn parent(&self, rng: &mut dyn Rng) -> &One {
        let mut draw = || &self.alive[rng.random_range(0..self.alive.len())];
        let (a, b) = (draw(), draw());
        if b.wins_against(a) { b } else { a }
    }

    fn child(&self, domain: &Domain, rng: &mut dyn Rng) -> Genome {
        let mut choices: Vec<u8> = self.parent(rng).genome.choices().to_vec();
        if rng.random_bool(self.crossover.clamp(0.0, 1.0)) {
            let other = self.parent(rng).genome.choices();
            for &i in domain.free() {
                if rng.random_bool(0.5) {
                    choices[i] = other[i];
                }
            }
        }
        let rate = self.mutation.unwrap_or(1.0 / domain.free().len().max(1) as f64);
        for &i in domain.free() {
            if rng.random_bool(rate.clamp(0.0, 1.0)) {
                choices[i] = mutated(choices[i], domain.counts()[i], rng);
            }
        }
        domain.genome(choices).unwrap_or_else(|| domain.sample(rng))
    }
}

/// Another choice of a knob with two at least: a neighbour, or any.
fn mutated(choice: u8, count: u8, rng: &mut dyn Rng) -> u8 {
    if rng.random_bool(0.5) {
        let up = choice == 0 || (choice + 1 < count && rng.random_bool(0.5));
        if up { choice + 1 } else { choice - 1 }
    } else {
        let pick = rng.random_range(0..count - 1);
        if pick >= choice { pick + 1 } else { pick }
    }
}

impl Strategy for Nsga2 {
    fn name(&self) -> &'static str {
        "nsga2"
    }

    fn ask(&mut self, domain: &Domain, n: usize, rng: &mut dyn Rng) -> Vec<Genome> {
        let mut asked = Vec::with_capacity(n);
        for _ in 0..n {
            let mut draw = || if self.alive.is_empty() { domain.sample(rng) } else { self.child(domain, rng) };
            let mut genome = draw();
            for _ in 0..DRAWS {
                if !self.known.contains(&genome) && !asked.contains(&genome) {
                    break;
                }
                genome = draw();
            }
            asked.push(genome);
        }
        asked
    }

    fn tell(&mut self, done: &[Told]) {
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
                self.alive = survivors(std::mem::take(&mut self.alive), self.population);
            }
        }
    }
}

/// The best `n`: front by front, the last one's by crowding.
fn survivors(all: Vec<One>, n: usize) -> Vec<One> {
    let mut all: Vec<Option<One>> = all.into_iter().map(Some).collect();
    let mut chosen = Vec::with_capacity(n);
    for (rank, front) in fronts(&all, n).into_iter().enumerate() {
        let mut front: Vec<One> = front.into_iter().filter_map(|i| all[i].take()).collect();
        crowd(&mut front);
        front.iter_mut().for_each(|o| o.rank = rank);
        if chosen.len() + front.len() > n {
            // Stable: the older of equals stays.
            front.sort_by(|a, b| b.crowding.total_cmp(&a.crowding));
            front.truncate(n - chosen.len());
        }
        chosen.append(&mut front);
    }
    chosen
}

/// Positions by front, until there are `n`.
fn fronts(all: &[Option<One>], n: usize) -> Vec<Vec<usize>> {
    let ones: Vec<(usize, &One)> = all.iter().enumerate().filter_map(|(i, o)| o.as_ref().map(|o| (i, o))).collect();
    let mut beats: Vec<Vec<usize>> = vec![Vec::new(); all.len()];
    let mut beaten = vec![0usize; all.len()];
    for (k, &(i, a)) in ones.iter().enumerate() {
        for &(j, b) in &ones[k + 1..] {
            if a.beats(b) {
                beats[i].push(j);
                beaten[j] += 1;
            } else if b.beats(a) {
                beats[j].push(i);
                beaten[i] += 1;
            }
        }
    }
    let mut next: Vec<usize> = ones.iter().map(|(i, _)| *i).filter(|i| beaten[*i] == 0).collect();
    let (mut all_fronts, mut count) = (Vec::new(), 0);
    while !next.is_empty() && count < n {
        count += next.len();
        let mut after = Vec::new();
        for &i in &next {
            for &j in &beats[i] {
                beaten[j] -= 1;
                if beaten[j] == 0 {
                    after.push(j);
                }
            }
        }
        after.sort_unstable();
        all_fronts.push(std::mem::replace(&mut next, after));
    }
    all_fronts
}

/// Crowding distances within a front: the ends of each objective are infinitely lonely.
fn crowd(front: &mut [One]) {
    front.iter_mut().for_each(|o| o.crowding = 0.0);
    let objectives = front.iter().map(|o| o.scores.len()).min().unwrap_or(0);
    let mut order: Vec<usize> = (0..front.len()).collect();
    for k in 0..objectives {
        order.sort_by(|a, b| front[*a].scores[k].total_cmp(&front[*b].scores[k]));
        let (Some(&first), Some(&last)) = (order.first(), order.last()) else { return };
        let span = front[last].scores[k] - front[first].scores[k];
        front[first].crowding = f64::INFINITY;
        front[last].crowding = f64::INFINITY;
        if span <= 0.0 {
            continue;
        }
        for w in order.windows(3) {
            let gap = front[w[2]].scores[k] - front[w[0]].scores[k];
            front[w[1]].crowding += gap / span;
        }
    }
}
