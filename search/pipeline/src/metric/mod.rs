//! Metrics: numbers about a candidate, cheap ones first.

mod analytic;
mod candidate;
mod measured;
mod quantized;
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
    &trained::MASK_MAP,
    &trained::MIOU,
    &trained::PIXEL_ACCURACY,
    &quantized::CLASSIFICATION,
    &quantized::MAP,
    &quantized::MIOU,
];

/// The metrics of a task's networks.
pub fn of_task(task: &dyn Task) -> impl Iterator<Item = &'static dyn Metric> {
    let own = task.metrics();
    let of_it = move |m: &&dyn Metric| match m.info().stage {
        Stage::Analytic | Stage::Measured | Stage::Untrained => true,
        Stage::Trained => own.iter().any(|o| o.name == m.info().name),
        Stage::Quantized => own.iter().any(|o| Some(o.name) == m.info().name.strip_suffix("_int8")),
    };
    METRICS.iter().copied().filter(of_it)
}

/// The metrics that a search computes: all of its task but proxies and those of int8 files that it does not name.
pub fn wanted(search: &Search, task: &dyn Task) -> Vec<&'static dyn Metric> {
    let named = |name: &str| {
        search.objectives.iter().any(|o| o.metric == name)
            || search.proxies.iter().any(|p| untrained::Untrained(*p).info().name == name)
    };
    let all = of_task(task);
    let costly = |m: &&dyn Metric| matches!(m.info().stage, Stage::Untrained | Stage::Quantized);
    all.filter(|m| !costly(m) || named(m.info().name)).collect()
}

/// A metric by name.
pub fn metric(name: &str) -> Option<&'static dyn Metric> {
    METRICS.iter().copied().find(|m| m.info().name == name)
}
