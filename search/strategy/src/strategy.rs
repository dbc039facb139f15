//! What a strategy is.

use mobilenas_record::run::PredictorFit;
use mobilenas_space::{Domain, Genome};
use rand::Rng;

/// A genome and its result.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The genome.
    pub genome: Genome,
    /// One score per objective, larger is better; `None` if scoring failed or a bound ended it.
    pub scores: Option<Vec<f64>>,
    /// Constraint violation: each excess over a hard bound as a share of the bound, summed. 0 is feasible.
    pub violation: f64,
}

impl Observation {
    /// The scores of a feasible genome.
    pub fn feasible(&self) -> Option<&[f64]> {
        self.scores.as_deref().filter(|_| self.violation <= 0.0)
    }
}

/// A search strategy under way.
pub trait Strategy: Send {
    /// At most `n` genomes to score next; none ends the search.
    fn ask(&mut self, domain: &Domain, n: usize, rng: &mut dyn Rng) -> Vec<Genome>;

    /// Results, in the order in which the genomes were asked for. Telling all results of a journal again restores the
    /// state of the strategy.
    fn tell(&mut self, observations: &[Observation]);

    /// Errors of predictor fits that are complete, each returned once.
    fn fits(&mut self) -> Vec<PredictorFit> {
        Vec::new()
    }

    /// How the search went, in sentences for the report.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}
