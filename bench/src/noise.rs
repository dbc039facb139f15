//! What else the machine did while something was timed, and when that is too much.

use serde::{Deserialize, Serialize};

use mobilenas_host::load::Change;

/// Above what a window is flagged. Nothing is dropped for it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoiseLimits {
    /// Stolen time over wall time.
    pub steal: f64,
    /// Cores that something else kept busy.
    pub foreign: f64,
    /// How far the calibration kernel or a core's frequency may move within a process, as a share.
    pub drift: f64,
    /// How far the last third of a process's samples may lie from the first, as a share, before it is unreliable.
    pub trend: f64,
    /// Share of noisy samples above which a measurement is unreliable.
    pub share: f64,
}

impl Default for NoiseLimits {
    fn default() -> NoiseLimits {
        NoiseLimits { steal: 0.005, foreign: 0.25, drift: 0.10, trend: 0.05, share: 0.5 }
    }
}

/// A window of samples and what the machine did meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SampleWindow {
    /// Its samples: so many after those of the windows before.
    pub samples: usize,
    /// Seconds of wall time.
    pub seconds: f64,
    /// What the machine did, our own work included.
    pub load: Change,
    /// Cores that our own process kept busy.
    pub own_cores: f64,
    /// Involuntary context switches of our process.
    pub preempted: u64,
    /// Frequency of the first of its cores at the end, in MHz, where the system tells.
    pub frequency_mhz: Option<f64>,
    /// Why it is noisy, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noisy: Option<String>,
}

/// The kernel's accounts count in ticks; a single one says nothing.
const TICK_SECONDS: f64 = 0.010;

impl SampleWindow {
    /// Cores that something else kept busy, as far as the system tells.
    pub fn foreign(&self) -> Option<f64> {
        Some((self.load.busy_cores? - self.own_cores).max(0.0))
    }
}

impl NoiseLimits {
    /// Why a window is noisy; `None` if it is not. `full_mhz` is the highest frequency that was seen on its core.
    pub fn window(&self, w: &SampleWindow, full_mhz: Option<f64>) -> Option<String> {
        if let Some(why) = stolen(&w.load, w.seconds, self.steal) {
            return Some(why);
        }
        if let Some(foreign) = w.foreign()
            && foreign > self.foreign + 2.0 * TICK_SECONDS / w.seconds
        {
            return Some(format!("something else kept {foreign:.2} cores busy"));
        }
        let share = w.frequency_mhz? / full_mhz?;
        (share < 1.0 - self.drift).then(|| format!("the core ran at {:.0} % of its frequency", share * 100.0))
    }

    /// Why all windows of a process are noisy: the host changed its speed meanwhile.
    pub fn kernel(&self, before_ms: f64, after_ms: f64) -> Option<String> {
        drifted(before_ms, after_ms, self.drift)
    }
}

/// That the host took away more than a share of the time, in words.
pub fn stolen(load: &Change, seconds: f64, limit: f64) -> Option<String> {
    let stolen = load.steal_ms.unwrap_or(0.0) / 1e3;
    (stolen > (limit * seconds).max(TICK_SECONDS))
        .then(|| format!("the host took {:.1} % of the time away", stolen / seconds * 100.0))
}

/// That the calibration kernel's time moved by more than a share, in words.
pub fn drifted(before_ms: f64, after_ms: f64, limit: f64) -> Option<String> {
    let moved = after_ms / before_ms - 1.0;
    (moved.abs() > limit).then(|| format!("the calibration kernel moved by {:+.0} %", moved * 100.0))
}
