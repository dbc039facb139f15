//! Metrics: what a number about a network is called, which way it is better, and what it takes to know it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which way a metric is better.
// A variant with a comment of its own becomes a `oneOf` in the schema, which the checker of configs does not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Goal {
    Maximize,
    #[default]
    Minimize,
}

impl Goal {
    /// The value as a cost: smaller is better. `-0.0` becomes `0.0`, so that equal values are equal bits.
    pub fn cost(self, value: f64) -> f64 {
        match self {
            Goal::Maximize => -value + 0.0,
            Goal::Minimize => value + 0.0,
        }
    }
}

/// What it takes to know a metric. Metrics are computed in this order; a candidate that misses a bound goes no further.
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
    /// An int8 file made of trained weights, and images.
    Quantized,
}

/// A metric as configs, journals, tables and plots know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricInfo {
    /// Its name in configs, journals and tables.
    pub name: &'static str,
    /// Which way it is better.
    pub goal: Goal,
    /// Its unit: `%`, `ms`, `bytes`; empty if it has none.
    pub unit: &'static str,
    /// What it takes to know it.
    pub stage: Stage,
    /// What it is, for people: axes, table heads, help.
    pub label: &'static str,
}

impl MetricInfo {
    /// The label within a sentence: `top-1`, `test mAP`, `MACs`.
    pub fn noun(&self) -> String {
        // A word with a capital letter inside is written so everywhere.
        let word = |w: &str| match w.chars().skip(1).any(char::is_uppercase) {
            true => w.to_owned(),
            false => w.to_lowercase(),
        };
        self.label.split(' ').map(word).collect::<Vec<_>>().join(" ")
    }
}

/// Detections with a lower score are not drawn.
pub const SHOWN: f64 = 0.3;

/// Learnable parameters, counted on the graph.
pub const PARAMS: MetricInfo =
    MetricInfo { name: "params", goal: Goal::Minimize, unit: "", stage: Stage::Analytic, label: "Parameters" };

/// Multiply-accumulates of one image: convolutions, linear layers, attention products.
pub const MACS: MetricInfo =
    MetricInfo { name: "macs", goal: Goal::Minimize, unit: "", stage: Stage::Analytic, label: "MACs" };

/// Peak memory of one image: weights and the largest set of live activations, counted on the graph.
pub const MEMORY: MetricInfo =
    MetricInfo { name: "memory", goal: Goal::Minimize, unit: "bytes", stage: Stage::Analytic, label: "Peak memory" };

/// Median latency of one image on the run's host and engine.
pub const LATENCY: MetricInfo =
    MetricInfo { name: "latency_ms", goal: Goal::Minimize, unit: "ms", stage: Stage::Measured, label: "Latency" };

/// Mobile efficiency score; see [`crate::score`].
pub const MES: MetricInfo = MetricInfo {
    name: "mes",
    goal: Goal::Maximize,
    unit: "",
    stage: Stage::Measured,
    label: "Mobile efficiency score (MES)",
};

/// Names of metrics, as rows have them.
pub mod name {
    /// Learnable parameters.
    pub const PARAMS: &str = super::PARAMS.name;
    /// Multiply-accumulates of one image.
    pub const MACS: &str = super::MACS.name;
    /// Peak memory of one image, in bytes.
    pub const MEMORY: &str = super::MEMORY.name;
    /// Median latency of one image, in milliseconds.
    pub const LATENCY: &str = super::LATENCY.name;
    /// Mobile efficiency score.
    pub const MES: &str = super::MES.name;
    /// Top-1 on the search-validation split, in percent, with weights inherited from the supernet.
    pub const TOP1: &str = "top1";
    /// Top-1 on the test split, in percent, after retraining from scratch.
    pub const TEST_TOP1: &str = "test_top1";
}
