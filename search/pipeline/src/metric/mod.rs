//! Metrics: numbers about a candidate, cheap ones first.

mod analytic;
mod candidate;
mod measured;
mod trained;
mod untrained;

pub use candidate::{Candidate, Metric};
pub use mobilenas_record::Stage;
use mobilenas_task::Task;

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
    &trained::MAP,
    &trained::MAP50,
    &trained::MIOU,
    &trained::PIXEL_ACCURACY,
];

/// The metrics of a task's networks.
pub fn of_task(task: &dyn Task) -> impl Iterator<Item = &'static dyn Metric> {
    let own = task.metrics();
    let known = move |m: &&dyn Metric| m.info().stage != Stage::Trained || own.iter().any(|o| o.name == m.info().name);
    METRICS.iter().copied().filter(known)
}

/// The metrics that a search computes: all of its task but proxies that it does not name.
pub fn wanted(search: &Search, task: &dyn Task) -> Vec<&'static dyn Metric> {
    let named = |name: &str| {
        search.objectives.iter().any(|o| o.metric == name)
            || search.proxies.iter().any(|p| untrained::Untrained(*p).info().name == name)
    };
    let all = of_task(task);
    all.filter(|m| m.info().stage != Stage::Untrained || named(m.info().name)).collect()
}

/// A metric by name.
pub fn metric(name: &str) -> Option<&'static dyn Metric> {
    METRICS.iter().copied().find(|m| m.info().name == name)
}
