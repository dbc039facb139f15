//! What a config says.

use mobilenas_coordinator::settings::Workers;
use mobilenas_evaluator::settings::Statistics;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::search::Search;
use super::spaces::{NamedSpace, Space};
use super::{
    DataConfig, Device, HeadConfig, LatencySettings, RetrainConfig, SupernetConfig, TaskConfig, TaskName, defaults,
};

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
    /// Processes that score candidates and train networks, here or on other machines, in place of `search.workers`,
    /// `retrain.workers` and `study.workers`. Not part of what a run is: others may go on with it.
    #[serde(default, skip_serializing)]
    pub workers: Option<Workers>,
    /// What networks are trained for.
    #[serde(default, skip_serializing_if = "TaskName::is_classification")]
    pub task: TaskName,
    /// The head that networks have in place of their classifier, for detection or segmentation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadConfig>,
    /// Which networks: one space, or else `spaces`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<Space>,
    /// Several spaces, with one supernet each. They share `search.trials` by `search.allocation`, the epochs of `supernet`
    /// equally, and one front.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1))]
    pub spaces: Vec<NamedSpace>,
    /// Which images.
    #[serde(default)]
    pub data: DataConfig,
    /// How the supernet is trained.
    #[serde(default)]
    pub supernet: SupernetConfig,
    /// How candidates are found.
    pub search: Search,
    /// How candidates are scored.
    #[serde(default)]
    pub scoring: Scoring,
    /// How latency is measured.
    #[serde(default)]
    pub latency: LatencySettings,
    /// How winners are trained from scratch.
    #[serde(default)]
    pub retrain: RetrainConfig,
    /// Constants of the mobile efficiency score.
    #[serde(default)]
    pub mes: Mes,
    /// Seconds between two checkpoints of a training.
    #[serde(default = "defaults::checkpoint_seconds")]
    #[schemars(range(min = 0, max = 86400))]
    pub checkpoint_seconds: f64,
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
        let m = mobilenas_record::run::Mes::default();
        Mes {
            score: m.score,
            unit_params: m.unit_params,
            alpha_params: m.alpha_params,
            alpha_latency: m.alpha_latency,
            reference_units: m.reference_units,
        }
    }
}

impl Config {
    /// What networks are trained for.
    pub fn task_config(&self) -> TaskConfig {
        TaskConfig::new(self.task, self.head.as_ref())
    }
}
