//! Strategies: what to try next. A strategy asks for genomes and is told what came of them. It sees how many choices each
//! knob has, and never a network.

mod mes_slimming;
mod nsga2;
mod predictor;
mod random;
mod regressor;
mod regularized_evolution;
#[cfg(test)]
mod testing;

use mobilenas_reports::record::Foretold;
use mobilenas_space::{Domain, Genome};
use rand::Rng;

pub use mes_slimming::MesSlimming;
pub use nsga2::Nsga2;
pub use predictor::Predictor;
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
    /// Each objective's value, larger is better; `None` if it failed, or went no further at a bound.
    pub scores: Option<Vec<f64>>,
    /// By how much it passes the hard bounds: each excess as a share of its bound, summed. 0 within them.
    pub violation: f64,
}

impl Told {
    /// The scores of a genome within the bounds.
    pub fn feasible(&self) -> Option<&[f64]> {
        self.scores.as_deref().filter(|_| self.violation <= 0.0)
    }
}

/// A way to choose what to try next.
pub trait Strategy {
    /// Its name in configs.
    fn name(&self) -> &'static str;

    /// Whether the genomes it asks for are wanted as they are: outside the bounds too, and if their network is known.
    /// Else another is asked for in their place.
    fn exact(&self) -> bool {
        false
    }

    /// At most so many genomes to try next; none when it has nothing more to try.
    fn ask(&mut self, domain: &Domain, n: usize, rng: &mut dyn Rng) -> Vec<Genome>;

    /// What came of genomes, in the order in which they were asked for. Telling a journal from its beginning brings a
    /// strategy to where it was.
    fn tell(&mut self, done: &[Told]);

    /// How well it foretold what it was told, one for each fit, of those that were not given out before.
    fn foretold(&mut self) -> Vec<Foretold> {
        Vec::new()
    }

    /// What a reader of the results should know of how it went, in sentences.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Whether scores `a` are at least as good as `b` everywhere and better somewhere.
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(x, y)| x >= y) && a.iter().zip(b).any(|(x, y)| x > y)
}
