//! The first row of a journal: what was run, on what, with what.

use serde::{Deserialize, Serialize};

use crate::engine::{Engine, TableUse};

/// What was run, on what, with what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunHeader {
    /// The version of the journal's schema.
    pub format: u32,
    /// Name of the run: that of its config file.
    pub name: String,
    /// Version of the program.
    pub program: String,
    /// When the run began, seconds since 1970: the only time stamp in any file of a run.
    pub started_unix: u64,
    /// Hex digest of the resolved config.
    pub config_digest: String,
    /// The run's seed; every random choice derives from it.
    pub seed: u64,
    /// Family of the space; the families of several with commas between.
    pub family: String,
    /// Strategy of the search.
    pub strategy: String,
    /// Number of genomes in the space, as a decimal (it may pass 2^64); in all spaces together where there are several.
    pub space_size: f64,
    /// Smallest and largest number of parameters over the space.
    pub params_range: [u64; 2],
    /// Smallest and largest number of MACs over the space.
    pub macs_range: [u64; 2],
    /// The spaces of a search over several. A search over one has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spaces: Vec<SpaceHeader>,
    /// The metric that candidates are judged by: the first of the task.
    #[serde(default = "top1", skip_serializing_if = "is_top1")]
    pub metric: String,
    /// The data.
    pub dataset: Dataset,
    /// The machine.
    pub host: Host,
    /// What ran the networks while they were timed.
    pub engine: Engine,
    /// Constants of the score.
    pub mes: Mes,
}

/// One of several spaces of a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpaceHeader {
    /// Its name in the config.
    pub name: String,
    /// Its family.
    pub family: String,
    /// Number of genomes in it, as a decimal.
    pub size: f64,
    /// Smallest and largest number of parameters over it.
    pub params_range: [u64; 2],
    /// Smallest and largest number of MACs over it.
    pub macs_range: [u64; 2],
    /// The latency table of its networks, if latencies are sums over blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableUse>,
}

pub(crate) fn top1() -> String {
    crate::metric::name::TOP1.to_string()
}

pub(crate) fn is_top1(metric: &str) -> bool {
    metric == crate::metric::name::TOP1
}

/// The data and how they were split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dataset {
    /// Name, as in the config.
    pub name: String,
    /// Images the weights are trained on.
    pub train: usize,
    /// Images carved out of the training set that candidates are scored on.
    pub search_val: usize,
    /// Images only retrained winners are scored on.
    pub test: usize,
    /// Number of classes.
    pub classes: usize,
    /// Images of `search_val` that candidates are scored on, if not all. Journals from before this field have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scored_on: Option<usize>,
}

impl Dataset {
    /// Images that a candidate's top-1 is counted on.
    pub fn scoring_images(&self) -> usize {
        self.scored_on.map_or(self.search_val, |n| n.min(self.search_val))
    }
}

/// The machine a number was measured on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Model name of the processor.
    pub cpu: String,
    /// Logical cores.
    pub cores: usize,
    /// Memory in bytes.
    pub memory: u64,
    /// Operating system and kernel.
    pub os: String,
}

impl Host {
    /// One line for captions.
    pub fn caption(&self) -> String {
        format!("{}, {} cores", self.cpu, self.cores)
    }
}

/// Constants of the mobile efficiency score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mes {
    /// Score of a network at both units.
    pub score: f64,
    /// Unit of the parameter count.
    pub unit_params: f64,
    /// Weight of the parameter count.
    pub alpha_params: f64,
    /// Weight of the latency.
    pub alpha_latency: f64,
    /// MobileNetV2's latency in units, by which its latency here is divided to get the unit.
    pub reference_units: f64,
}
