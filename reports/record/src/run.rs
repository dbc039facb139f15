//! The rows of `journal.jsonl`: what a run writes and every report reads.
//!
//! One JSON object a line, externally tagged: `{"trial": {...}}`. Rows are only ever appended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::engine::{Engine, TableUse};
pub use crate::landmark::Landmark;
use crate::latency_table::LatencyTable;

/// The version of the journal's schema. A reader reads this and every older one; a key with a default does not raise it.
pub const FORMAT: u32 = 1;

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalRow {
    /// Always the first line.
    Run(Box<RunHeader>),
    /// MobileNetV2's latency on this host: the unit of the score.
    Unit(Unit),
    /// How well a table's latencies agree with measured ones.
    LatencyTable(LatencyTable),
    /// The supernet was trained.
    Supernet(Supernet),
    /// One genome with what was found out about it.
    Trial(Trial),
    /// A trial near the front whose latency was measured again.
    #[serde(rename = "timed")]
    Remeasured(Remeasured),
    /// A trial that may win, scored after a short training from its inherited weights.
    Finetuned(Finetuned),
    /// A trial that was trained from scratch so that others' scores can be corrected.
    Landmark(Landmark),
    /// A winner trained from scratch and scored on the test split.
    Retrained(Retrained),
    /// How well a predictor predicted trials before it was fitted on them.
    #[serde(rename = "foretold")]
    PredictorFit(PredictorFit),
    /// Something a reader of the results has to know.
    Caveat(Caveat),
    /// The run reached its end.
    Done(Done),
}

/// What was run, on what, with what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunHeader {
    /// [`FORMAT`].
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
    /// Family of the space.
    pub family: String,
    /// Strategy of the search.
    pub strategy: String,
    /// Number of genomes in the space, as a decimal (it may pass 2^64).
    pub space_size: f64,
    /// Smallest and largest number of parameters over the space.
    pub params_range: [u64; 2],
    /// Smallest and largest number of MACs over the space.
    pub macs_range: [u64; 2],
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

fn top1() -> String {
    crate::metric::name::TOP1.to_string()
}

fn is_top1(metric: &str) -> bool {
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

/// MobileNetV2's latency on this host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unit {
    /// Name of the reference model.
    pub model: String,
    /// Its input resolution.
    pub resolution: u32,
    /// Its latency.
    pub latency: Latency,
    /// The kind of host, where latencies are measured on workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// A measured latency, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Median.
    pub median_ms: f64,
    /// 10th percentile.
    pub p10_ms: f64,
    /// 90th percentile.
    pub p90_ms: f64,
    /// Number of samples.
    pub samples: usize,
}

/// The trained supernet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Supernet {
    /// Epochs.
    pub epochs: f64,
    /// Optimizer steps.
    pub steps: u64,
    /// Loss of the last steps' mean, largest subnet.
    pub loss: f64,
    /// Seconds it took, resumed parts together.
    pub seconds: f64,
}

/// Where a trial came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Asked for by the strategy.
    Search,
    /// A published variant, named, under this run's protocol.
    Variant(String),
}

/// One genome with what was found out about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Counts from 0 in the order of the journal.
    pub id: u64,
    /// Where it came from.
    pub origin: Origin,
    /// Knob to value.
    pub genome: BTreeMap<String, i64>,
    /// Hex digest of the graph; equal graphs are one candidate.
    pub digest: String,
    /// What was found out.
    pub outcome: TrialOutcome,
    /// Details of the latency, if it was measured.
    pub latency: Option<Latency>,
    /// Metrics that came from the scores kept of other runs on the same weights, by the same protocol.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cached: Vec<String>,
    /// Seconds by which scoring it made the search longer: with several workers, less than it took.
    pub seconds: f64,
}

/// The end of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialOutcome {
    /// Metric to value.
    Scored(BTreeMap<String, f64>),
    /// Outside a hard bound: which, in words, with what was known by then.
    Infeasible {
        /// The bound it misses.
        why: String,
        /// The metrics computed before that.
        metrics: BTreeMap<String, f64>,
    },
    /// It broke: why, in words.
    Failed {
        /// The error.
        why: String,
    },
}

impl Trial {
    /// A metric's value, if the trial was scored and has it.
    pub fn score(&self, metric: &str) -> Option<f64> {
        match &self.outcome {
            TrialOutcome::Scored(m) => m.get(metric).copied(),
            _ => None,
        }
    }
}

/// A trial near the front that was timed once more, and for longer, when the search was over. What it says takes the place of
/// what the trial's own row says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remeasured {
    /// The trial.
    pub trial: u64,
    /// Its latency.
    pub latency: Latency,
    /// The metrics that depend on it.
    pub metrics: BTreeMap<String, f64>,
    /// The bound that it misses by them, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<String>,
    /// Seconds it took.
    pub seconds: f64,
}

impl Remeasured {
    /// Puts it in the place of what a scored trial says.
    pub fn apply(&self, trial: &mut Trial) {
        let TrialOutcome::Scored(metrics) = &mut trial.outcome else { return };
        metrics.extend(self.metrics.clone());
        trial.latency = Some(self.latency.clone());
        if let Some(why) = &self.missed {
            let metrics = std::mem::take(metrics);
            trial.outcome = TrialOutcome::Infeasible { why: why.clone(), metrics };
        }
    }
}

/// A trial that was fine-tuned from its inherited weights. Winners are chosen by its metrics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finetuned {
    /// The trial.
    pub trial: u64,
    /// Steps of the optimizer.
    pub steps: u64,
    /// The task's metrics on the search-validation split.
    pub metrics: BTreeMap<String, f64>,
    /// Seconds it took, resumed parts together.
    pub seconds: f64,
}

impl Finetuned {
    /// Puts its metrics in the place of what a scored trial says.
    pub fn apply(&self, trial: &mut Trial) {
        if let TrialOutcome::Scored(metrics) = &mut trial.outcome {
            metrics.extend(self.metrics.clone());
        }
    }
}

/// A winner trained from scratch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retrained {
    /// The trial it was.
    pub trial: u64,
    /// Its graph's digest.
    pub digest: String,
    /// Seed of this retraining.
    pub seed: u64,
    /// Epochs of the one budget all winners get.
    pub epochs: f64,
    /// `test_top1` and whatever else was scored.
    pub metrics: BTreeMap<String, f64>,
    /// Seconds it took, resumed parts together.
    pub seconds: f64,
}

/// How well a predictor predicted the first objective of trials that it had not been fitted on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictorFit {
    /// Trials that it had been fitted on.
    pub fitted_on: usize,
    /// Trials that it predicted, none of them among those.
    pub trials: usize,
    /// Mean absolute error, in the objective's unit.
    pub mean_error: f64,
    /// Kendall's tau-b; none for fewer than two trials, or where all are tied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kendall: Option<f64>,
}

/// Something a reader of the results has to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caveat {
    /// In one sentence.
    pub text: String,
}

/// The run reached its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// Seconds by phase, resumed parts together.
    pub seconds: BTreeMap<String, f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_times_take_the_place_of_the_first() {
        let latency = |ms: f64| Latency { median_ms: ms, p10_ms: ms, p90_ms: ms, samples: 3 };
        let metrics = |ms: f64| {
            BTreeMap::from([
                (crate::metric::name::TOP1.to_owned(), 80.0),
                (crate::metric::name::LATENCY.to_owned(), ms),
            ])
        };
        let first = Trial {
            id: 7,
            origin: Origin::Search,
            genome: BTreeMap::new(),
            digest: "d".to_owned(),
            outcome: TrialOutcome::Scored(metrics(2.0)),
            latency: Some(latency(2.0)),
            cached: Vec::new(),
            seconds: 1.0,
        };
        let only = BTreeMap::from([(crate::metric::name::LATENCY.to_owned(), 3.0)]);
        let mut timed = Remeasured { trial: 7, latency: latency(3.0), metrics: only, missed: None, seconds: 1.0 };
        let after = |timed: &Remeasured| {
            let mut t = first.clone();
            timed.apply(&mut t);
            (t.outcome, t.latency)
        };
        assert_eq!(after(&timed), (TrialOutcome::Scored(metrics(3.0)), Some(latency(3.0))));
        timed.missed = Some("too slow".to_owned());
        let missed = TrialOutcome::Infeasible { why: "too slow".to_owned(), metrics: metrics(3.0) };
        assert_eq!(after(&timed), (missed, Some(latency(3.0))));
    }
}
