//! How a search went: the best so far, and the front's hypervolume, after each trial.

use mobilenas_record::metric::LATENCY;
use mobilenas_record::pareto::{dominates_by, hypervolume};
use mobilenas_record::{Goal, MetricInfo};

use crate::metrics;
use crate::run_data::{RunData, RunTrial};

/// The two objectives of a run's front that is followed.
pub fn objectives_of(run: &RunData) -> [&'static MetricInfo; 2] {
    [run.accuracy(), &LATENCY]
}

/// Which way each of them is better.
pub const GOALS: [Goal; 2] = [metrics::ACCURACY.goal, LATENCY.goal];

/// The unit of their hypervolume.
pub fn unit() -> String {
    [metrics::ACCURACY.unit, LATENCY.unit].join(" · ")
}

/// A curve over trials: after how many trials (from 1, all of the journal), which value. Only the trials at which it
/// changes, and the last.
pub type Curve = Vec<(u64, f64)>;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Hypervolume of the front so far, in [`unit`]s; see [`reference`].
    pub hypervolume: Curve,
    /// Best accuracy so far, in percent.
    pub accuracy: Curve,
    /// Best mobile efficiency score so far.
    pub mes: Curve,
}

/// The reference point of hypervolumes: accuracy by guessing (percent) and the slowest scored trial's latency (ms) of all
/// `runs`. `None` if no trial has both numbers.
///
/// Runs are comparable only with one reference point: give this all of them.
pub fn reference(runs: &[&RunData]) -> Option<[f64; 2]> {
    let points = |r: &&RunData| r.trials.iter().filter_map(|t| objectives(r, t)).collect::<Vec<_>>();
    let slowest = runs.iter().flat_map(points).map(|p| p[1]).fold(0.0, f64::max);
    let classes = runs.iter().map(|r| r.header.dataset.classes).min()?;
    // Boxes and class maps that are guessed are worth nothing.
    let classifies = runs.iter().all(|r| r.accuracy().name == metrics::ACCURACY.name);
    let guess = if classifies { 100.0 / classes.max(1) as f64 } else { 0.0 };
    (slowest > 0.0).then_some([guess, slowest])
}

/// Follows a run trial by trial.
pub fn history(run: &RunData, reference: [f64; 2]) -> History {
    let mut h = History::default();
    let mut front: Vec<[f64; 2]> = Vec::new();
    for (i, trial) in run.trials.iter().enumerate() {
        let at = i as u64 + 1;
        if let Some(point) = objectives(run, trial) {
            rise(&mut h.accuracy, at, point[0]);
            if !front.iter().any(|other| other == &point || dominates_by(other, &point, &GOALS)) {
                front.retain(|other| !dominates_by(&point, other, &GOALS));
                front.push(point);
                rise(&mut h.hypervolume, at, hypervolume(&front, &reference, &GOALS));
            }
        }
        if let Some(mes) = trial.mes {
            rise(&mut h.mes, at, mes);
        }
    }
    let last = run.trials.len() as u64;
    for curve in [&mut h.hypervolume, &mut h.accuracy, &mut h.mes] {
        if let Some(end) = curve.last().filter(|(at, _)| *at < last).map(|(_, v)| (last, *v)) {
            curve.push(end);
        }
    }
    h
}

/// Accuracy and latency of a scored trial that has both.
fn objectives(run: &RunData, t: &RunTrial) -> Option<[f64; 2]> {
    let point = t.values(objectives_of(run))?;
    // A larger number is a mistake; one such latency as the reference would make all others equal.
    (t.is_scored() && point.iter().all(|v| v.abs() < 1e15)).then_some(point)
}

fn rise(curve: &mut Curve, at: u64, value: f64) {
    if curve.last().is_none_or(|(_, best)| value > *best) {
        curve.push((at, value));
    }
}
