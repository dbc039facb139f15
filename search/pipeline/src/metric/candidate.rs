//! A genome under scoring, and what computes a number about it.

use std::collections::BTreeMap;
use std::sync::Arc;

use mobilenas_record::MetricInfo;
use mobilenas_space::ir::Graph;
use mobilenas_space::{Cost, Genome};

use crate::evaluator::{EvalError, Evaluator};

/// A genome under scoring.
#[derive(Debug)]
pub struct Candidate {
    /// The genome.
    pub genome: Genome,
    /// Its graph.
    pub graph: Arc<Graph>,
    /// Its cost.
    pub cost: Cost,
    /// Metrics known so far.
    pub known: BTreeMap<String, f64>,
}

/// One metric.
pub trait Metric: Sync {
    /// Name, goal, unit and stage.
    fn info(&self) -> MetricInfo;

    /// Its value.
    ///
    /// # Errors
    /// When the evaluator cannot find it out.
    fn eval(&self, c: &Candidate, evaluator: &mut dyn Evaluator) -> Result<f64, EvalError>;
}
