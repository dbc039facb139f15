//! Metrics: numbers about a candidate, cheap ones first.

mod analytic;
mod measured;
mod trained;
mod untrained;

use std::collections::BTreeMap;
use std::sync::Arc;

use mobilenas_record::MetricInfo;
pub use mobilenas_record::Stage;
use mobilenas_space::ir::Graph;
use mobilenas_space::{Cost, Genome};

use crate::config::{Proxy, Search};
use crate::evaluator::{EvalError, Evaluator};

/// All metrics, in the order of their stage.
pub static METRICS: &[&dyn Metric] = &[
    &analytic::Params,
    &analytic::Macs,
    &analytic::PeakMemory,
    &measured::LatencyMs,
    &measured::Mes,
    &untrained::Untrained(Proxy::Synflow),
    &untrained::Untrained(Proxy::Nwot),
    &untrained::Untrained(Proxy::GradNorm),
    &trained::CLASSIFICATION,
];

/// The metrics that a search computes: all but proxies that it does not name.
pub fn wanted(search: &Search) -> Vec<&'static dyn Metric> {
    let named = |name: &str| {
        search.objectives.iter().any(|o| o.metric == name)
            || search.proxies.iter().any(|p| untrained::Untrained(*p).info().name == name)
    };
    let all = METRICS.iter().copied();
    all.filter(|m| m.info().stage != Stage::Untrained || named(m.info().name)).collect()
}

/// A metric by name.
pub fn metric(name: &str) -> Option<&'static dyn Metric> {
    METRICS.iter().copied().find(|m| m.info().name == name)
}

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
