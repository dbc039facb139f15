//! How candidates are found.

use std::path::PathBuf;

use mobilenas_record::Goal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::defaults;

/// How candidates are found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// One strategy with its settings.
    pub strategy: Strategy,
    /// Candidates to score, at most.
    #[schemars(range(min = 1, max = 1000000))]
    pub trials: u64,
    /// No further candidate after so many minutes of scoring; a resumed search counts what came before.
    #[serde(default)]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub minutes: Option<f64>,
    /// It also ends when the front has stood still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_still: Option<Still>,
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
    #[serde(default = "defaults::failures")]
    #[schemars(range(min = 1, max = 1000000))]
    pub failures: usize,
}

/// When the front counts as standing still.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Still {
    /// Candidates in which the hypervolume of the front has hardly grown. It is measured in the objectives, from the worst
    /// of each so far.
    #[schemars(range(min = 1, max = 1000000))]
    pub trials: u64,
    /// Growth that is hardly any, as a share of the hypervolume.
    #[serde(default = "defaults::thousandth")]
    #[schemars(range(min = 0, max = 1))]
    pub gain: f64,
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

impl Default for Cache {
    fn default() -> Cache {
        Cache { enabled: true, dir: None }
    }
}

/// A number about an untrained network that is said to foretell its accuracy: flow through absolute weights (Tanaka et al.,
/// 2020), how differently images switch the activations (Mellor et al., 2021), or the norm of one batch's gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Proxy {
    Synflow,
    Nwot,
    GradNorm,
}

/// Exactly one of the strategies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Strategy {
    /// Every genome as likely as every other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random: Option<Random>,
    /// Ageing evolution (Real et al., 2019).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regularized_evolution: Option<RegularizedEvolution>,
    /// NSGA-II with constrained domination (Deb et al., 2002).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nsga2: Option<Nsga2>,
    /// Evaluation-based slimming from the largest subnet on (EfficientFormerV2; Li et al., 2022). The first objective is
    /// what may be lost, the second what is to be gained: `top1` and `mes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mes_slimming: Option<MesSlimming>,
    /// An accuracy predictor, fitted on the scored trials, proposes the next ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predictor: Option<Predictor>,
}

/// Settings of NSGA-II.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Nsga2 {
    /// Genomes alive.
    #[schemars(range(min = 2, max = 100000))]
    pub population: usize,
    /// Probability that a child has two parents. Half of the knobs they differ in then get a choice near one of theirs.
    #[schemars(range(min = 0, max = 1))]
    pub crossover: f64,
    /// Probability that a knob of a child mutates, most often to the next choice; one knob a child on average if left out.
    #[schemars(range(min = 0, max = 1))]
    pub mutation: Option<f64>,
}

impl Default for Nsga2 {
    fn default() -> Nsga2 {
        Nsga2 { population: 20, crossover: 0.9, mutation: None }
    }
}

impl Action {
    /// The kind of knob, in the word that the space has for it.
    pub fn kind(self) -> &'static str {
        match self {
            Action::Depth => "depth",
            Action::Width => "width",
            Action::Expansion => "expansion",
            Action::Patch => "patch",
            Action::Heads => "heads",
            Action::Kernel => "kernel",
            Action::Stride => "stride",
            Action::Resolution => "resolution",
        }
    }
}

/// Settings of slimming.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MesSlimming {
    /// Subnets followed side by side.
    #[schemars(range(min = 1, max = 1000))]
    pub beam: usize,
    /// Changes that a step tries of those whose price is known from an earlier step, the cheapest first; all if left out. What
    /// has never been tried is always tried. With few trials a small number reaches small networks.
    #[schemars(range(min = 1, max = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<usize>,
    /// It ends at a subnet within the bounds whose second objective reaches this; at the smallest subnet if left out.
    pub target: Option<f64>,
    /// Kinds of knobs that a step may lower by one choice: `depth` drops a block, `width` narrows a stage or a transformer,
    /// `expansion` those of one block, `patch` makes patches larger.
    #[schemars(length(min = 1))]
    pub actions: Vec<Action>,
}

/// A kind of knob that slimming may lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Action {
    Depth,
    Width,
    Expansion,
    Patch,
    Heads,
    Kernel,
    Stride,
    Resolution,
}

impl Default for MesSlimming {
    fn default() -> MesSlimming {
        MesSlimming {
            beam: 1,
            probe: None,
            target: None,
            actions: vec![Action::Depth, Action::Width, Action::Expansion, Action::Patch],
        }
    }
}

/// Settings of the predictor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Predictor {
    /// Random trials before the first fit.
    #[schemars(range(min = 5, max = 1000000))]
    pub warm: usize,
    /// Share of random trials afterwards.
    #[schemars(range(min = 0, max = 1))]
    pub explore: f64,
}

impl Default for Predictor {
    fn default() -> Predictor {
        Predictor { warm: 16, explore: 0.1 }
    }
}

/// Random search has no settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Random {}

/// Settings of ageing evolution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RegularizedEvolution {
    /// Genomes alive.
    #[schemars(range(min = 1, max = 1000000))]
    pub population: usize,
    /// Genomes a parent is chosen among.
    #[schemars(range(min = 1, max = 1000000))]
    pub sample: usize,
    /// Probability that a further knob mutates.
    #[schemars(range(min = 0, max = 1))]
    pub mutation: f64,
}

impl Default for RegularizedEvolution {
    fn default() -> RegularizedEvolution {
        RegularizedEvolution { population: 16, sample: 4, mutation: 0.1 }
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
