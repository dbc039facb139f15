//! Strategies: what to try next. A strategy asks for genomes and is told what came of them; it never sees a network.

mod random;
mod regularized_evolution;

use mobilenas_space::{Genome, Space};
use rand::Rng;

pub use random::Random;
pub use regularized_evolution::RegularizedEvolution;

/// Which way a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// More is better.
    Maximize,
    /// Less is better.
    Minimize,
}

/// What came of a genome.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The genome.
    pub genome: Genome,
    /// Each objective's value, larger is better; `None` if it was infeasible or failed.
    pub scores: Option<Vec<f64>>,
}

/// A way to choose what to try next.
pub trait Strategy {
    /// Its name in configs.
    fn name(&self) -> &'static str;
    /// Genomes to try next.
    fn ask(&mut self, space: &Space, n: usize, rng: &mut dyn Rng) -> Vec<Genome>;
    /// What came of genomes, in the order in which they were asked for. Telling a journal from its beginning brings a
    /// strategy to where it was.
    fn tell(&mut self, done: &[Told]);
}

/// Whether scores `a` are at least as good as `b` everywhere and better somewhere.
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(x, y)| x >= y) && a.iter().zip(b).any(|(x, y)| x > y)
}

/// The strategy that a config names.
pub fn from_config(config: &crate::config::Strategy) -> Box<dyn Strategy> {
    match &config.regularized_evolution {
        Some(e) => Box::new(RegularizedEvolution::new(e.population, e.sample, e.mutation)),
        None => Box::new(Random),
    }
}
