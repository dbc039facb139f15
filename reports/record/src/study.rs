//! A study: whether the search can be trusted, as rows of a file of its own, `study.jsonl`.
//!
//! Three questions: does accuracy with inherited weights put networks in the order that training them alone does (rank
//! fidelity); does a strategy beat random search; do the found networks stand against published ones when all are trained
//! alike, several seeds each. One JSON object a line, externally tagged, only ever appended, so that a stopped study goes
//! on where its file ends. Every row but the first is optional, and any part may be missing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::header::{is_top1, top1};
use crate::run::{Caveat, Dataset, Done, Engine, Host, Latency};

/// Name of the file inside a study's folder.
pub const FILE: &str = "study.jsonl";

/// The version of the file's schema. A reader reads this and every older one; a key with a default does not raise it.
pub const FORMAT: u32 = 1;

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StudyRow {
    /// Always the first line.
    Study(Box<StudyHeader>),
    /// A network that the study trains: before the first row that has its `id`.
    Network(StudyNetwork),
    /// A network's accuracy with inherited weights, under one condition.
    Inherited(InheritedScore),
    /// A network trained from scratch.
    Retrained(TrainedNetwork),
    /// One search from its first trial to its last.
    Search(SearchRun),
    /// Something a reader of the results has to know.
    Caveat(Caveat),
    /// The study reached its end.
    Done(Done),
}

/// What was studied, on what, with what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StudyHeader {
    /// [`FORMAT`].
    pub format: u32,
    /// Name of the study.
    pub name: String,
    /// Version of the program.
    pub program: String,
    /// When it began, seconds since 1970: the only time stamp in the file.
    pub started_unix: u64,
    /// Hex digest of the resolved config.
    pub config_digest: String,
    /// Family of the space; of several, their families.
    pub family: String,
    /// The spaces, where a study has several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spaces: Vec<StudySpace>,
    /// The metric that networks are judged by: the first of the task.
    #[serde(default = "top1", skip_serializing_if = "is_top1")]
    pub metric: String,
    /// The data.
    pub dataset: Dataset,
    /// The machine.
    pub host: Host,
    /// What ran the networks while they were timed.
    pub engine: Engine,
    /// What the hypervolumes of [`SearchRun`] are made of, if there are searches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<Volume>,
}

/// One of several spaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StudySpace {
    /// Its name.
    pub name: String,
    /// Its family.
    pub family: String,
}

/// What a hypervolume is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// The objectives: `top-1 and MACs`.
    pub of: String,
    /// Its unit: `% · M`.
    pub unit: String,
    /// The one reference point of all searches, in words.
    pub reference: String,
}

/// Where a network comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkOrigin {
    /// Drawn from the space, for rank fidelity.
    Drawn,
    /// Found by a search.
    Found,
    /// A paper's variant, under this protocol.
    Published,
}

/// A network that the study trains.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StudyNetwork {
    /// Counts from 0.
    pub id: u64,
    /// What to call it.
    pub name: String,
    /// Where it comes from.
    pub origin: NetworkOrigin,
    /// The space that it is of, where a study has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// Knob to value.
    pub genome: BTreeMap<String, i64>,
    /// Hex digest of the graph.
    pub digest: String,
    /// Learnable parameters.
    pub params: u64,
    /// Multiply-accumulates of one image.
    pub macs: u64,
    /// Peak memory of one image, bytes, as the metric `memory` counts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Its latency, if it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
}

/// How weights were inherited.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Condition {
    /// Rule that the supernet was trained by: `sandwich`, `uniform`, `progressive`.
    pub rule: String,
    /// Whether batch-norm statistics were computed anew for the network.
    pub recalibrated: bool,
    /// Steps of a short training that began with the inherited weights; 0 for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub finetune_steps: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Condition {
    /// What was done with the weights, in words.
    pub fn weights(&self) -> String {
        match (self.finetune_steps, self.recalibrated) {
            (0, true) => "recalibrated".to_string(),
            (0, false) => "not recalibrated".to_string(),
            (steps, _) => format!("fine-tuned for {steps} steps"),
        }
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}, {}", self.rule, self.weights())
    }
}

/// A network's accuracy with inherited weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InheritedScore {
    /// [`StudyNetwork::id`].
    pub network: u64,
    /// How weights were inherited.
    pub condition: Condition,
    /// Seconds of fine-tuning, if there was any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// The task's metrics on the search-validation split, by name.
    #[serde(flatten)]
    pub metrics: BTreeMap<String, f64>,
}

/// A network trained from scratch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainedNetwork {
    /// [`StudyNetwork::id`].
    pub network: u64,
    /// Seed of this training.
    pub seed: u64,
    /// Epochs of the one budget.
    pub epochs: f64,
    /// The task's metrics on the test split, by name: `test_top1`.
    #[serde(flatten)]
    pub metrics: BTreeMap<String, f64>,
    /// Seconds it took.
    pub seconds: f64,
}

/// One search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchRun {
    /// Strategy; `random` is chance.
    pub strategy: String,
    /// Its seed.
    pub seed: u64,
    /// (trials so far, hypervolume), ascending: where it changes, and the last trial.
    pub volume: Vec<(u64, f64)>,
    /// Seconds that the scores took up to each point of `volume`; none in older rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cost: Vec<f64>,
    /// The objectives of the networks on its Pareto front, by metric; none in older rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub front: Vec<BTreeMap<String, f64>>,
    /// Seconds it took.
    pub seconds: f64,
}

impl InheritedScore {
    /// A metric's value, if it is known and finite.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.get(name).copied().filter(|v| v.is_finite())
    }
}

impl TrainedNetwork {
    /// A metric's value, if it is known and finite.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.get(name).copied().filter(|v| v.is_finite())
    }
}
