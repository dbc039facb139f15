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

use mobilenas_record::run::PredictorFit;
use mobilenas_space::{Domain, Genome};
use rand::Rng;

pub use mobilenas_record::pareto::dominates;

pub use mes_slimming::MesSlimming;
pub use nsga2::Nsga2;
pub use predictor::Predictor;
pub use random::Random;
pub use regularized_evolution::RegularizedEvolution;

/// What came of a genome.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The genome.
    pub genome: Genome,
    /// Each objective's value, larger is better; `None` if it failed, or went no further at a bound.
    pub scores: Option<Vec<f64>>,
    /// By how much it passes the hard bounds: each excess as a share of its bound, summed. 0 within them.
    pub violation: f64,
}

impl Observation {
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
    fn tell(&mut self, done: &[Observation]);

    /// How well it foretold what it was told, one for each fit, of those that were not given out before.
    fn foretold(&mut self) -> Vec<PredictorFit> {
        Vec::new()
    }

    /// What a reader of the results should know of how it went, in sentences.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}
