//! How candidates are found.

use std::path::PathBuf;

use mobilenas_evaluator::settings::Proxy;
use mobilenas_record::Goal;
use mobilenas_strategy::{Allocation, StrategyConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::defaults;

/// How candidates are found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// One strategy with its settings; each of several spaces has one of its own.
    pub strategy: StrategyConfig,
    /// How several spaces share the candidates.
    #[serde(default, skip_serializing_if = "Allocation::is_default")]
    pub allocation: Allocation,
    /// Candidates to score, at most; of all spaces together.
    #[schemars(range(min = 1, max = 1000000))]
    pub trials: u64,
    /// No further candidate after so many minutes of scoring; a resumed search counts what came before.
    #[serde(default)]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub minutes: Option<f64>,
    /// Early stopping: the search also ends when the hypervolume of the front has stopped growing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStopping>,
    /// Candidates asked for at once.
    #[serde(default = "defaults::one")]
    #[schemars(range(min = 1, max = 10000))]
    pub batch: u64,
    /// What every candidate has to meet.
    #[serde(default)]
    pub bounds: Bounds,
    /// What is better. Measured latency differs from run to run, and so does a search that is guided by it.
    #[serde(default = "defaults::objectives")]
    #[schemars(length(min = 1))]
    pub objectives: Vec<Objective>,
    /// A short training of candidates that may win, from their inherited weights; winners are chosen by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finetune: Option<Finetune>,
    /// Candidates that are trained from scratch before winners are chosen, to correct the scores of all others by a ridge
    /// regression on score, log MACs and log parameters; 0 for none.
    #[serde(default, skip_serializing_if = "defaults::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub landmarks: usize,
    /// Zero-cost proxies to record beside the metrics.
    #[serde(default)]
    pub proxies: Vec<Proxy>,
    /// How often a candidate whose scoring failed is tried again.
    #[serde(default = "defaults::once")]
    #[schemars(range(min = 0, max = 100))]
    pub retries: u32,
    /// Processes that score candidates side by side. How many changes no result; `threads` may.
    #[serde(default = "defaults::single")]
    #[schemars(range(min = 1, max = 256))]
    pub workers: usize,
    /// Threads of each worker; the config's `threads` if left out.
    #[serde(default)]
    #[schemars(range(min = 1, max = 256))]
    pub threads: Option<u32>,
    /// Scores that are kept for other runs.
    #[serde(default)]
    pub cache: Cache,
    /// Failed candidates in a row that end the search.
    #[serde(default = "defaults::max_failures")]
    #[schemars(range(min = 1, max = 1000000))]
    pub max_failures: usize,
}

/// A short training from inherited weights, by the recipe of `retrain`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finetune {
    /// Found networks that are trained: in turn the best that undercuts each published variant, and those nearest to the
    /// front. The published variants come on top.
    #[serde(default = "defaults::finetuned")]
    #[schemars(range(min = 1, max = 100000))]
    pub candidates: usize,
    /// Steps of the optimizer.
    #[schemars(range(min = 1, max = 10000000))]
    pub steps: u64,
    /// Peak learning rate; that of `retrain` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 10))]
    pub lr: Option<f64>,
}

/// When the hypervolume of the front has stopped growing. It is measured in the objectives, from the worst value of each so
/// far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// Candidates in which it has to grow by more than `min_delta`.
    #[schemars(range(min = 1, max = 1000000))]
    pub patience: u64,
    /// Growth that does not count, as a share of the hypervolume.
    #[serde(default = "defaults::thousandth")]
    #[schemars(range(min = 0, max = 1))]
    pub min_delta: f64,
}

/// Scores by graph, weights and protocol, kept for other runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// Whether scores are looked up and kept.
    pub enabled: bool,
    /// Folder of the scores; `scores` beside the run's folder if left out.
    pub dir: Option<PathBuf>,
}

impl Search {
    /// Metrics of the objectives.
    pub fn metrics(&self) -> Vec<&str> {
        self.objectives.iter().map(|o| o.metric.as_str()).collect()
    }
}

impl Default for Cache {
    fn default() -> Cache {
        Cache { enabled: true, dir: None }
    }
}

/// Hard bounds: upper ones, but for `top1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Bounds {
    /// Learnable parameters.
    #[schemars(range(min = 1))]
    pub params: Option<u64>,
    /// Multiply-accumulates for one image.
    #[schemars(range(min = 1))]
    pub macs: Option<u64>,
    /// Median latency in ms on this host.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub latency_ms: Option<f64>,
    /// At least so much top-1 on the search-validation images, in percent, with inherited weights.
    #[schemars(range(max = 100), extend("exclusiveMinimum" = 0))]
    pub top1: Option<f64>,
}

/// A metric and which way it is better.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// Name of the metric.
    pub metric: String,
    /// Which way is better.
    pub goal: Goal,
}
