//! Genomes as a strategy sees them: a number of choices for each knob, without their meaning.

use rand::{Rng, RngExt};
use smallvec::SmallVec;

/// One choice for each knob of a space, by position.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Genome(pub(crate) SmallVec<[u8; 40]>);

impl Genome {
    /// The choice of each knob, by position; 0 is that of the smallest network.
    pub fn choices(&self) -> &[u8] {
        &self.0
    }
}

/// How many choices each knob has, by position, from the smallest network's to the largest's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    counts: Vec<u8>,
    /// Positions of the knobs with at least two choices.
    free: Vec<usize>,
}

impl Domain {
    /// A domain with the given number of choices for each knob, at least one.
    pub fn new(counts: impl IntoIterator<Item = u8>) -> Domain {
        let counts: Vec<u8> = counts.into_iter().map(|c| c.max(1)).collect();
        let free = (0..counts.len()).filter(|&i| counts[i] > 1).collect();
        Domain { counts, free }
    }

    /// The number of choices of each knob.
    pub fn counts(&self) -> &[u8] {
        &self.counts
    }

    /// Positions of the knobs with at least two choices.
    pub fn free(&self) -> &[usize] {
        &self.free
    }

    /// Number of genomes; exact up to 2^53.
    pub fn size(&self) -> f64 {
        self.counts.iter().map(|c| f64::from(*c)).product()
    }

    /// The genome with the given choices; `None` if their number is wrong or one is out of range.
    pub fn genome(&self, choices: impl IntoIterator<Item = u8>) -> Option<Genome> {
        let choices: SmallVec<[u8; 40]> = choices.into_iter().collect();
        let fits = choices.len() == self.counts.len() && choices.iter().zip(&self.counts).all(|(c, n)| c < n);
        fits.then_some(Genome(choices))
    }

    /// Each knob at the choice of the smallest network.
    pub fn smallest(&self) -> Genome {
        Genome(self.counts.iter().map(|_| 0).collect())
    }

    /// Each knob at the choice of the largest network, which holds the weights of all others.
    pub fn largest(&self) -> Genome {
        Genome(self.counts.iter().map(|c| c - 1).collect())
    }

    /// A genome drawn uniformly.
    pub fn sample(&self, rng: &mut dyn Rng) -> Genome {
        Genome(self.counts.iter().map(|c| rng.random_range(0..usize::from(*c)) as u8).collect())
    }

    /// A mutated genome: each knob changes with `probability`, and at least one does if any has two choices.
    pub fn mutate(&self, genome: &Genome, probability: f64, rng: &mut dyn Rng) -> Genome {
        let mut g = genome.clone();
        if self.free.is_empty() {
            return g;
        }
        let must = self.free[rng.random_range(0..self.free.len())];
        for &i in &self.free {
            if i == must || rng.random_bool(probability.clamp(0.0, 1.0)) {
                let pick = rng.random_range(0..usize::from(self.counts[i]) - 1) as u8;
                g.0[i] = if pick >= genome.0[i] { pick + 1 } else { pick };
            }
        }
        g
    }

    /// Uniform crossover: each knob from one of two genomes.
    pub fn cross(&self, a: &Genome, b: &Genome, rng: &mut dyn Rng) -> Genome {
        Genome(a.0.iter().zip(&b.0).map(|(x, y)| if rng.random_bool(0.5) { *x } else { *y }).collect())
    }

    /// Every genome that differs in one knob.
    pub fn neighbours(&self, genome: &Genome) -> Vec<Genome> {
        self.free.iter().flat_map(|&i| self.others(genome, i)).collect()
    }

    /// Every genome that differs in this knob, by position, alone.
    pub fn others<'a>(&self, genome: &'a Genome, knob: usize) -> impl Iterator<Item = Genome> + use<'a> {
        let choices = (0..self.counts[knob]).filter(move |c| *c != genome.0[knob]);
        choices.map(move |c| with(genome, knob, c))
    }

    /// Every genome with one knob one choice closer to the smallest network.
    pub fn smaller(&self, genome: &Genome) -> Vec<Genome> {
        let shrunk = |&i: &usize| genome.0[i].checked_sub(1).map(|c| with(genome, i, c));
        self.free.iter().filter_map(shrunk).collect()
    }

    /// Positions of the knobs in which two genomes differ.
    pub fn differing(&self, a: &Genome, b: &Genome) -> Vec<usize> {
        (0..self.counts.len()).filter(|&i| a.0[i] != b.0[i]).collect()
    }

    /// A genome with one knob, by position, taken from another.
    pub fn with(&self, genome: &Genome, knob: usize, from: &Genome) -> Genome {
        with(genome, knob, from.0[knob])
    }
}

fn with(genome: &Genome, knob: usize, choice: u8) -> Genome {
    let mut g = genome.clone();
    g.0[knob] = choice;
    g
}
