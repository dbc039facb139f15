//! When a warm-up is over, and when there are enough samples: pure functions of what was timed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::noise::NoiseLimits;
use crate::stats::{Bootstrap, Interval, median, median_interval};

/// Everything by which a network is profiled; part of every report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProfileRules {
    /// How long a window of calls takes, in ms; it has at least [`FEWEST_CALLS`] calls.
    pub window_ms: f64,
    /// When a warm-up is over.
    pub steady: WarmupRule,
    /// When a process has enough samples.
    pub enough: SampleRule,
    /// When there are enough processes.
    pub across: ProcessRule,
    /// What is flagged as noisy.
    pub limits: NoiseLimits,
    /// The cores that all processes run on; each time the idlest, as many as threads, if left out.
    pub cores: Option<Vec<usize>>,
    /// What the bootstrap derives from.
    pub seed: u64,
}

impl Default for ProfileRules {
    fn default() -> ProfileRules {
        ProfileRules {
            window_ms: 200.0,
            steady: WarmupRule { windows: 3, agree: 0.02, max_seconds: 10.0 },
            enough: SampleRule { width: 0.03, min_samples: 20, max_samples: 2000, max_seconds: 5.0 },
            across: ProcessRule { fewest: 3, most: 6, width: 0.03, max_seconds: 120.0 },
            limits: NoiseLimits::default(),
            cores: None,
            seed: 1,
        }
    }
}

/// Fewest calls in a window.
pub const FEWEST_CALLS: usize = 3;
/// Most calls in a window.
const MOST_CALLS: usize = 1000;
/// Confidence of every interval.
pub const CONFIDENCE: f64 = 0.95;
/// Resamples of the bootstrap over processes.
const RESAMPLES: usize = 2000;

impl ProfileRules {
    /// Calls in a window, of calls that take so many ms.
    pub fn calls(&self, call_ms: f64) -> usize {
        // What is no number, or out of range, saturates.
        ((self.window_ms / call_ms.max(1e-6)).ceil() as usize).clamp(FEWEST_CALLS, MOST_CALLS)
    }
}

impl fmt::Display for ProfileRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (s, e, a, l) = (&self.steady, &self.enough, &self.across, &self.limits);
        let percent = |x: f64| format!("{} %", (x * 1e4).round() / 1e2);
        write!(
            f,
            "{} to {} fresh processes; in each a warm-up until the medians of {} windows of {} ms in a row agree within {}, \
             at most {} s; then {} to {} samples, at most {} s, until the 95 % interval of the median is {} wide; processes \
             until it is {} wide over them, or {} s; noisy above {} steal, {} foreign cores or {} of change of the host's speed",
            a.fewest,
            a.most,
            s.windows,
            self.window_ms,
            percent(s.agree),
            s.max_seconds,
            e.min_samples,
            e.max_samples,
            e.max_seconds,
            percent(e.width),
            percent(a.width),
            a.max_seconds,
            percent(l.steal),
            l.foreign,
            percent(l.drift),
        )
    }
}

/// The rule of the warm-up: the medians of so many windows in a row agree.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WarmupRule {
    /// Windows in a row, at least 2.
    pub windows: usize,
    /// How far the largest of their medians may lie above the smallest, as a share.
    pub agree: f64,
    /// No further window after so many seconds.
    pub max_seconds: f64,
}

/// Whether a warm-up goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarmupState {
    /// It goes on.
    More,
    /// It is steady.
    Steady,
    /// The time is over, and it is not.
    Never,
}

impl WarmupRule {
    /// Looks at the medians of all windows so far, after so many seconds.
    pub fn look(&self, medians: &[f64], seconds: f64) -> WarmupState {
        let last = medians.len().checked_sub(self.windows.max(2)).map(|from| &medians[from..]);
        if last.is_some_and(|last| apart(last) <= self.agree) {
            WarmupState::Steady
        } else if seconds >= self.max_seconds {
            WarmupState::Never
        } else {
            WarmupState::More
        }
    }
}

/// How far the largest value lies above the smallest, as a share; infinite if that says nothing.
fn apart(values: &[f64]) -> f64 {
    let (low, high) = values.iter().fold((f64::INFINITY, 0.0f64), |(l, h), v| (l.min(*v), h.max(*v)));
    let share = high / low - 1.0;
    if share.is_finite() { share } else { f64::INFINITY }
}

/// Whether sampling goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SamplingState {
    /// Not known well enough yet.
    More,
    /// The interval of the median is narrow enough.
    Narrow,
    /// The limit of time, samples or processes is met.
    Limit,
}

/// The rule inside a process: samples until the interval of their median is narrow, by order statistics, which hold
/// whatever the distribution is. Calls that follow each other are alike, so this says too little; the rule over
/// processes mends it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleRule {
    /// Width of the interval over the median.
    pub width: f64,
    /// At least so many samples, if the time allows.
    pub min_samples: usize,
    /// No further window after so many samples.
    pub max_samples: usize,
    /// No further window after so many seconds.
    pub max_seconds: f64,
}

impl SampleRule {
    /// Looks at the samples so far, after so many seconds.
    pub fn look(&self, samples: &[f64], seconds: f64) -> SamplingState {
        let width = || Some(relative(median_interval(samples, CONFIDENCE)?, median(samples)?));
        if samples.len() >= self.min_samples && width().is_some_and(|w| w <= self.width) {
            SamplingState::Narrow
        } else if seconds >= self.max_seconds || samples.len() >= self.max_samples {
            SamplingState::Limit
        } else {
            SamplingState::More
        }
    }
}

fn relative((low, high): (f64, f64), middle: f64) -> f64 {
    (high - low) / middle
}

/// The rule over processes: fresh ones until the interval of the median over them is narrow, by resampling processes
/// and then samples within each.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessRule {
    /// At least so many processes.
    pub fewest: usize,
    /// At most so many.
    pub most: usize,
    /// Width of the interval over the median.
    pub width: f64,
    /// No further process after so many seconds, once the fewest are there.
    pub max_seconds: f64,
}

impl ProcessRule {
    /// The median over processes with its interval; `None` without samples.
    pub fn interval(rounds: &[Vec<f64>], seed: u64) -> Option<Interval> {
        let tail = (1.0 - CONFIDENCE) / 2.0;
        Bootstrap { resamples: RESAMPLES, lower: tail, upper: tail, seed }.two_level(rounds)
    }

    /// Looks at the samples of each process so far, after so many seconds.
    pub fn look(&self, rounds: &[Vec<f64>], seconds: f64, seed: u64) -> SamplingState {
        if rounds.len() < self.fewest {
            return SamplingState::More;
        }
        if ProcessRule::interval(rounds, seed).is_some_and(|i| width(&i) <= self.width) {
            return SamplingState::Narrow;
        }
        if rounds.len() >= self.most || seconds >= self.max_seconds {
            SamplingState::Limit
        } else {
            SamplingState::More
        }
    }
}

/// Width of an interval over its middle.
pub fn width(i: &Interval) -> f64 {
    relative((i.low, i.high), i.middle)
}

/// By how much the last third of samples is slower than the first, as a share of medians; `None` with fewer than six.
pub fn trend(samples: &[f64]) -> Option<f64> {
    let third = samples.len() / 3;
    if third < 2 {
        return None;
    }
    Some(median(&samples[samples.len() - third..])? / median(&samples[..third])? - 1.0)
}
