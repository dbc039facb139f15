//! What a config says of workers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Processes that score candidates and train networks, here or on other machines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Workers {
    /// How many; the number of hosts with `ssh`, else 1, if left out. How many changes no result.
    #[schemars(range(min = 0, max = 100000))]
    pub count: Option<usize>,
    /// What starts one: the words of a command before the worker's own, or a preset. On this machine if left out.
    pub launch: Option<Launch>,
    /// How a worker gets supernet and config.
    pub weights: Weights,
    /// This program where workers run; this very file if left out.
    pub program: Option<String>,
    /// The run's folder where workers run; this very folder if left out.
    pub folder: Option<PathBuf>,
    /// Variables of the environment where workers run.
    pub env: BTreeMap<String, String>,
    /// A worker that has not said hello after so many seconds is started anew; never if left out, because it may wait in a
    /// queue.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub hello_seconds: Option<f64>,
    /// A worker is given up that takes so many times as long as the median.
    #[schemars(range(min = 2, max = 1000000))]
    pub slow: f64,
    /// None is given up before that many seconds.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub slow_seconds: f64,
    /// A worker at its job of which nothing is heard for so many seconds is given up. One says a word every ten.
    #[schemars(range(min = 20, max = 1000000))]
    pub silence_seconds: f64,
    /// Workers that may die of a candidate, before it is set aside.
    #[schemars(range(min = 1, max = 100))]
    pub deaths: u32,
}

impl Default for Workers {
    fn default() -> Workers {
        Workers {
            count: None,
            launch: None,
            weights: Weights::Folder,
            program: None,
            folder: None,
            env: BTreeMap::new(),
            hello_seconds: None,
            slow: 10.0,
            slow_seconds: 120.0,
            silence_seconds: 60.0,
            deaths: 3,
        }
    }
}

/// How a worker gets supernet and config: from the run's folder, which its machine sees, or through its standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Weights {
    Folder,
    Pipe,
}

/// What starts a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Launch {
    /// A preset as it is.
    Named(Named),
    /// The words of a command; `{worker}` stands for a name that no other worker has.
    Command(Vec<String>),
    /// A preset with settings.
    Preset(Preset),
}

/// A preset that needs no settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Named {
    Slurm,
}

/// A preset with settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1, "examples" = [{ "slurm": {} }]))]
pub struct Preset {
    /// Steps of a Slurm allocation, by `srun`.
    pub slurm: Option<Slurm>,
    /// Hosts, by `ssh`; workers go round.
    #[schemars(length(min = 1))]
    pub ssh: Option<Vec<String>>,
    /// Pods, by `kubectl run`.
    pub kubernetes: Option<Kubernetes>,
}

/// Steps of a Slurm allocation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Slurm {
    /// Further arguments of `srun`.
    pub args: Vec<String>,
}

/// Pods of a Kubernetes cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kubernetes {
    /// The image, which holds this program.
    pub image: String,
    /// Further arguments of `kubectl run`, such as `--namespace=nas` or `--overrides=...`.
    #[serde(default)]
    pub args: Vec<String>,
}
