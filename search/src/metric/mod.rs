//! Metrics: numbers about a candidate, cheap ones first.

mod analytic;
mod measured;
mod trained;
mod untrained;

use std::collections::BTreeMap;
use std::sync::Arc;

use mobilenas_space::ir::Graph;
use mobilenas_space::{Cost, Genome};

use crate::config::{Proxy, Search};
use crate::strategy::Goal;
use crate::train::TrainError;

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
    &trained::Top1,
];

/// The metrics that a search computes: all but proxies that it does not name.
pub fn wanted(search: &Search) -> Vec<&'static dyn Metric> {
    let named = |m: &dyn Metric| {
        search.objectives.iter().any(|o| o.metric == m.name())
            || search.proxies.iter().any(|p| untrained::Untrained(*p).name() == m.name())
    };
    METRICS.iter().copied().filter(|m| m.stage() != Stage::Untrained || named(*m)).collect()
}

/// A metric by name.
pub fn metric(name: &str) -> Option<&'static dyn Metric> {
    METRICS.iter().copied().find(|m| m.name() == name)
}

/// What it takes to know a metric. A candidate that misses a bound goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The graph.
    Analytic,
    /// A run on an engine.
    Measured,
    /// Fresh weights and a few images.
    Untrained,
    /// Trained weights and images.
    Trained,
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

/// What metrics may use.
pub trait Lab {
    /// Latency of the frozen network in ms.
    ///
    /// # Errors
    /// When the engine refuses, or a block is not in the table that latencies come from.
    fn latency(&mut self, graph: &Arc<Graph>) -> Result<f64, TrainError>;

    /// Mobile efficiency score of a parameter count and a latency in ms.
    fn mes(&self, params: f64, latency_ms: f64) -> f64;

    /// A number about the untrained network.
    ///
    /// # Errors
    /// When libtorch refuses.
    fn proxy(&mut self, proxy: Proxy, graph: &Arc<Graph>) -> Result<f64, TrainError>;

    /// Top-1 on the search-validation split, in percent, with inherited weights and recalibrated batch norms.
    ///
    /// # Errors
    /// When libtorch refuses.
    fn top1(&mut self, graph: &Arc<Graph>) -> Result<f64, TrainError>;
}

/// One metric.
pub trait Metric: Sync {
    /// Its name in configs, journal and tables.
    fn name(&self) -> &'static str;
    /// Which way it is better.
    fn goal(&self) -> Goal;
    /// What it takes to know it.
    fn stage(&self) -> Stage;
    /// Its value.
    ///
    /// # Errors
    /// When the lab cannot find it out.
    fn eval(&self, c: &Candidate, lab: &mut dyn Lab) -> Result<f64, TrainError>;
}
