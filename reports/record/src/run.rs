//! The rows of `journal.jsonl`: what a run writes and every report reads.
//!
//! One JSON object a line, externally tagged: `{"trial": {...}}`. Rows are only ever appended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::engine::{Engine, TableUse};
pub use crate::header::{Dataset, Host, Mes, RunHeader, SpaceHeader};
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
    /// The space that it is of, where a search has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
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
    /// The space that it is of, where a search has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
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

/// A retrained winner.
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
    /// Whether it began with the supernet's weights, not with new ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inherited: bool,
}

/// How well a predictor predicted the first objective of trials that it had not been fitted on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictorFit {
    /// The space of those trials, where a search has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
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
            space: None,
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
