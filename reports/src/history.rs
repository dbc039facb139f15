//! How a search went: what was best, and how much the front held, after each trial.

use crate::{Entry, Frame};
use mobilenas_record::Goal;
use mobilenas_record::metric::name as metric;
use mobilenas_record::pareto::{dominates_by, hypervolume};

/// The two objectives of the front that is followed: top-1 to be large, latency to be small.
pub const GOALS: [Goal; 2] = [Goal::Maximize, Goal::Minimize];

/// A curve over trials: after how many trials (from 1, all that the journal has), which value. Only the trials at which it
/// changes, and the last.
pub type Curve = Vec<(u64, f64)>;

/// The curves of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Hypervolume of the front so far, in % · ms; see [`reference`].
    pub volume: Curve,
    /// Best top-1 so far, in percent.
    pub top1: Curve,
    /// Best mobile efficiency score so far.
    pub mes: Curve,
}

/// The point that hypervolume is measured from: top-1 of guessing (percent) and the slowest scored trial's latency (ms)
/// of all `frames`. `None` if no trial has both numbers.
///
/// Runs are comparable only when measured from one point: give this all of them.
pub fn reference(frames: &[&Frame]) -> Option<[f64; 2]> {
    let slowest = frames.iter().flat_map(|f| &f.trials).filter_map(both).map(|p| p[1]).fold(0.0, f64::max);
    let classes = frames.iter().map(|f| f.run.dataset.classes).min()?;
    (slowest > 0.0).then(|| [100.0 / classes.max(1) as f64, slowest])
}

/// Follows a run trial by trial.
pub fn history(f: &Frame, reference: [f64; 2]) -> History {
    let mut h = History::default();
    let mut front: Vec<[f64; 2]> = Vec::new();
    for (i, entry) in f.trials.iter().enumerate() {
        let at = i as u64 + 1;
        if let Some(point) = both(entry) {
            rise(&mut h.top1, at, point[0]);
            if !front.iter().any(|other| other == &point || dominates_by(other, &point, &GOALS)) {
                front.retain(|other| !dominates_by(&point, other, &GOALS));
                front.push(point);
                rise(&mut h.volume, at, hypervolume(&front, &reference, &GOALS));
            }
        }
        if let Some(mes) = entry.mes {
            rise(&mut h.mes, at, mes);
        }
    }
    let last = f.trials.len() as u64;
    for curve in [&mut h.volume, &mut h.top1, &mut h.mes] {
        if let Some(end) = curve.last().filter(|(at, _)| *at < last).map(|(_, v)| (last, *v)) {
            curve.push(end);
        }
    }
    h
}

/// Top-1 and latency of a scored trial that has both.
fn both(e: &Entry) -> Option<[f64; 2]> {
    let point = [e.metric(metric::TOP1)?, e.metric(metric::LATENCY)?];
    // Beyond this a number is a mistake; one such latency would make all others the same.
    (e.is_scored() && point.iter().all(|v| v.abs() < 1e15)).then_some(point)
}

fn rise(curve: &mut Curve, at: u64, value: f64) {
    if curve.last().is_none_or(|(_, best)| value > *best) {
        curve.push((at, value));
    }
}
