//! A scored genome.

use mobilenas_record::pareto::dominates;
use mobilenas_space::Genome;

/// A scored genome.
#[derive(Clone, Debug)]
pub struct Individual {
    pub genome: Genome,
    pub scores: Vec<f64>,
    pub violation: f64,
    /// 0 on the first front.
    pub rank: usize,
    pub crowding_distance: f64,
}

impl Individual {
    /// Constrained domination: feasible before infeasible, then the smaller violation, then the scores.
    pub fn dominates(&self, other: &Individual) -> bool {
        match (self.violation > 0.0, other.violation > 0.0) {
            (false, true) => true,
            (true, false) => false,
            (true, true) => self.violation < other.violation,
            (false, false) => dominates(&self.scores, &other.scores),
        }
    }

    /// Domination decides, then crowding distance, whatever the ranks: the end of a later front is a rarer parent than one
    /// in the crowd of an earlier front.
    pub fn wins_against(&self, other: &Individual) -> bool {
        self.dominates(other) || (!other.dominates(self) && self.crowding_distance > other.crowding_distance)
    }
}
