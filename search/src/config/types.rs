//! What a config says.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::data::Data;
use super::defaults;
use super::recipe::Recipe;
use super::search::Search;

/// A search: a space, data, and how to train, search, score and measure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the run; the file's name without its ending if left out.
    #[serde(default)]
    pub name: Option<String>,
    /// Every random choice derives from it.
    #[serde(default = "defaults::seed")]
    pub seed: u64,
    /// Threads that training and scoring use.
    #[serde(default = "defaults::threads")]
    #[schemars(range(min = 1, max = 256))]
    pub threads: u32,
    /// Where training and scoring run. Not part of what a run is: another device may go on with it.
    #[serde(default, skip_serializing)]
    pub device: Device,
    /// Which networks.
    pub space: Space,
    /// Which images.
    #[serde(default)]
    pub data: Data,
    /// How the supernet is trained.
    #[serde(default)]
    pub supernet: Supernet,
    /// How candidates are found.
    pub search: Search,
    /// How candidates are scored.
    #[serde(default)]
    pub scoring: Scoring,
    /// How latency is measured.
    #[serde(default)]
    pub latency: Latency,
    /// How winners are trained from scratch.
    #[serde(default)]
    pub retrain: Retrain,
    /// Constants of the mobile efficiency score.
    #[serde(default)]
    pub mes: Mes,
    /// Seconds between two checkpoints of a training.
    #[serde(default = "defaults::checkpoint_seconds")]
    #[schemars(range(min = 0, max = 86400))]
    pub checkpoint_seconds: f64,
}

/// Where training and scoring run: the processor, or an NVIDIA GPU. Latency is always that of the processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Device {
    #[default]
    Cpu,
    Cuda,
}

/// A family of networks and what may vary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Space {
    /// Name of the family.
    pub family: String,
    /// How the published widths are scaled.
    #[serde(default)]
    pub scale: Scale,
    /// Knob to choices; a knob left out has the choices of the family's published space, scaled.
    #[serde(default)]
    pub knobs: BTreeMap<String, Vec<i64>>,
}

/// Scaling of published widths.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Scale {
    /// Factor on every width.
    #[schemars(range(min = 0.01, max = 16))]
    pub width: f64,
    /// Scaled widths are rounded to multiples of it.
    #[schemars(range(min = 1, max = 64))]
    pub divisor: u32,
}

impl Default for Scale {
    fn default() -> Scale {
        Scale { width: 1.0, divisor: 8 }
    }
}

/// Training of the supernet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("additionalProperties" = false))]
pub struct Supernet {
    /// How its weights are trained.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// Which subnets a step trains.
    pub rule: Rule,
    /// Random subnets in a step of the sandwich, beside the largest and the smallest.
    #[schemars(range(min = 0, max = 16))]
    pub random_subnets: u32,
    /// What subnets but the largest learn.
    pub distill_subnets: Taught,
    /// Kinds of knobs (the last part of their names) in the order in which progressive training opens them; the others open
    /// in the end.
    pub open: Vec<String>,
    /// Whether subnets share batch norms, or each number of channels of a batch norm has weights and statistics of its own.
    pub batch_norms: BatchNorms,
}

impl Default for Supernet {
    fn default() -> Supernet {
        Supernet {
            recipe: Recipe::default(),
            rule: Rule::Sandwich,
            random_subnets: 2,
            distill_subnets: Taught::Kl,
            open: ["resolution", "kernel", "depth", "expand", "width"].map(String::from).to_vec(),
            batch_norms: BatchNorms::Shared,
        }
    }
}

/// Which subnets a step trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Rule {
    Sandwich,
    Uniform,
    Progressive,
}

/// Batch norms of a supernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum BatchNorms {
    Shared,
    PerWidth,
}

/// Statistics of a subnet's batch norms in scoring: estimated for it from training images, or those that training left for
/// its widths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Statistics {
    Recalibrated,
    Trained,
}

/// What subnets learn: the labels, or the largest one's predictions by the Kullback-Leibler or the clipped adaptive
/// alpha-divergence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Taught {
    Labels,
    Kl,
    Alpha,
}

/// How candidates are scored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Scoring {
    /// Images of the search-validation split; all of them if left out.
    #[schemars(range(min = 1, max = 10000000))]
    pub images: Option<usize>,
    /// Training images that recalibrate a subnet's batch norms: a fixed list.
    #[schemars(range(min = 2, max = 10000000))]
    pub recalibrate: usize,
    /// Where a subnet's batch-norm statistics come from; `trained` needs `supernet.batch_norms: per_width`.
    pub statistics: Statistics,
    /// Images in a batch.
    #[schemars(range(min = 1, max = 65536))]
    pub batch: usize,
}

impl Default for Scoring {
    fn default() -> Scoring {
        Scoring { images: None, recalibrate: 2048, statistics: Statistics::Recalibrated, batch: 250 }
    }
}

/// How latency is found: measured as frozen networks on this host, or summed over a table's blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Latency {
    /// Where latencies come from.
    pub source: LatencySource,
    /// The table, if they come from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<PathBuf>,
    /// What runs the networks; of an imported table, its own engine counts.
    pub engine: String,
    /// Threads.
    #[schemars(range(min = 1, max = 256))]
    pub threads: usize,
    /// Images in a batch.
    #[schemars(range(min = 1, max = 65536))]
    pub batch: usize,
    /// Milliseconds of warm-up.
    #[schemars(range(min = 0, max = 600000))]
    pub warmup_ms: u64,
    /// At least so many samples.
    #[schemars(range(min = 1, max = 1000000))]
    pub min_samples: usize,
    /// At most so many samples.
    #[schemars(range(min = 1, max = 1000000))]
    pub max_samples: usize,
    /// No further sample after so many milliseconds.
    #[schemars(range(min = 1, max = 600000))]
    pub max_ms: u64,
    /// Fresh processes in which the candidates of a batch run beside the reference network, in one random order; a latency is
    /// then the ratio to the reference's. 0 times each candidate by itself, in this process.
    #[schemars(range(min = 0, max = 64))]
    pub processes: usize,
    /// Rounds in each of these processes.
    #[schemars(range(min = 3, max = 10000))]
    pub rounds: usize,
    /// Fresh processes in which trials near the front are timed once more, together, when the search is over; 0 leaves it at
    /// the first times. Only with `processes`, where an objective depends on time.
    #[schemars(range(min = 0, max = 64))]
    pub race: usize,
}

impl Default for Latency {
    fn default() -> Latency {
        let (source, engine) = (LatencySource::Measured, "libtorch".to_string());
        Latency {
            source,
            table: None,
            engine,
            threads: 1,
            batch: 1,
            warmup_ms: 50,
            min_samples: 30,
            max_samples: 200,
            max_ms: 400,
            processes: 0,
            rounds: 10,
            race: 12,
        }
    }
}

/// Where latencies come from: each network measured on this host; the sum over the blocks of a table that was built on a
/// machine with the same engine; or of one that was imported from another device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum LatencySource {
    Measured,
    Table,
    Imported,
}

/// How winners are trained from scratch: one budget for all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("additionalProperties" = false))]
pub struct Retrain {
    /// How many members of the front, best in the first objective first.
    #[schemars(range(min = 0, max = 1000))]
    pub best: usize,
    /// How their weights are trained.
    #[serde(flatten)]
    pub recipe: Recipe,
}

impl Default for Retrain {
    fn default() -> Retrain {
        Retrain { best: 3, recipe: Recipe::default() }
    }
}

/// Constants of the mobile efficiency score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mes {
    /// Score of a network at both units.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub score: f64,
    /// Unit of the parameter count.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub unit_params: f64,
    /// Weight of the parameter count.
    #[schemars(range(min = 0, max = 10))]
    pub alpha_params: f64,
    /// Weight of the latency.
    #[schemars(range(min = 0, max = 10))]
    pub alpha_latency: f64,
    /// MobileNetV2's latency in units; its latency here is divided by it to get the unit.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub reference_units: f64,
}

impl Default for Mes {
    fn default() -> Mes {
        let m = mobilenas_reports::record::Mes::default();
        Mes {
            score: m.score,
            unit_params: m.unit_params,
            alpha_params: m.alpha_params,
            alpha_latency: m.alpha_latency,
            reference_units: m.reference_units,
        }
    }
}
