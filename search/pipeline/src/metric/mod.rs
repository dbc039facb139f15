//! Metrics: numbers about a candidate, cheap ones first.

mod analytic;
mod candidate;
mod measured;
mod trained;
mod untrained;

pub use candidate::{Candidate, Metric};
pub use mobilenas_record::Stage;

use crate::config::{Proxy, Search};

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
