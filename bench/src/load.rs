//! What else the machine does: busy cores, stolen time, pressure, frequency. What cannot be read is `None`.

use std::time::Duration;

use procfs::{CpuPressure, CpuTime, Current as _, CurrentSI as _, KernelStats};
use serde::{Deserialize, Serialize};

/// Counters since the machine began.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Load {
    /// Time that the host gave to others while a core of ours wanted to run, summed over cores.
    pub steal: Option<Duration>,
    /// Time in which some task waited for a processor.
    pub waiting: Option<Duration>,
    /// Time that each core was busy, by core.
    pub busy: Vec<Duration>,
}

/// What happened between two readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Stolen milliseconds, summed over cores; a multiple of the kernel's tick.
    pub steal_ms: Option<f64>,
    /// Share of the time in which some task waited for a processor.
    pub waiting: Option<f64>,
    /// Cores that were busy, on average; our own work included.
    pub busy_cores: Option<f64>,
}

fn busy(t: &CpuTime) -> Duration {
    t.user_duration() + t.nice_duration() + t.system_duration() + t.irq_duration().unwrap_or_default()
}

impl Load {
    /// Reads the counters.
    pub fn read() -> Load {
        let stats = KernelStats::current().ok();
        Load {
            steal: stats.as_ref().and_then(|s| s.total.steal_duration()),
            waiting: CpuPressure::current().ok().map(|p| Duration::from_micros(p.some.total)),
            busy: stats.map(|s| s.cpu_time.iter().map(busy).collect()).unwrap_or_default(),
        }
    }

    /// What happened since an earlier reading, `wall` ago.
    pub fn since(&self, earlier: &Load, wall: Duration) -> Change {
        let seconds = wall.as_secs_f64().max(1e-9);
        let more = |a: Option<Duration>, b: Option<Duration>| Some(a?.saturating_sub(b?).as_secs_f64());
        let cores = self.busy.iter().zip(&earlier.busy).map(|(a, b)| a.saturating_sub(*b).as_secs_f64());
        Change {
            steal_ms: more(self.steal, earlier.steal).map(|s| s * 1e3),
            waiting: more(self.waiting, earlier.waiting).map(|s| s / seconds),
            busy_cores: (!self.busy.is_empty()).then(|| cores.sum::<f64>() / seconds),
        }
    }

    /// The core that did least since an earlier reading; of equals the last, since the first takes most interrupts.
    pub fn idlest(&self, earlier: &Load) -> Option<usize> {
        let did = |i: &usize| self.busy[*i].saturating_sub(earlier.busy[*i]);
        (0..self.busy.len().min(earlier.busy.len())).rev().min_by_key(did)
    }
}

/// The core that does least, watched for `window`.
pub fn idlest_core(window: Duration) -> Option<usize> {
    let before = Load::read();
    std::thread::sleep(window);
    Load::read().idlest(&before)
}

/// Load average of the last minute, if the system keeps one.
pub fn average() -> Option<f64> {
    procfs::LoadAverage::current().ok().map(|l| f64::from(l.one))
}

/// Current frequency of a core in MHz, where the system tells.
pub fn frequency_mhz(core: usize) -> Option<f64> {
    let file = format!("/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq");
    std::fs::read_to_string(file).ok()?.trim().parse::<f64>().ok().map(|khz| khz / 1e3)
}

/// Lets this thread, and those it starts, run on one core only.
///
/// # Errors
/// When the system refuses, as for a core that is not there.
pub fn pin(core: usize) -> std::io::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    if core >= rustix::thread::CpuSet::MAX_CPU {
        return Err(std::io::Error::from(std::io::ErrorKind::InvalidInput));
    }
    set.set(core);
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(steal: u64, busy: [u64; 2]) -> Load {
        let ms = Duration::from_millis;
        Load { steal: Some(ms(steal)), waiting: None, busy: busy.map(ms).to_vec() }
    }

    #[test]
    fn what_happened_is_the_difference() {
        let change = load(30, [1500, 900]).since(&load(10, [500, 400]), Duration::from_secs(1));
        assert_eq!(change, Change { steal_ms: Some(20.0), waiting: None, busy_cores: Some(1.5) });
    }

    #[test]
    fn the_idlest_core_did_least() {
        assert_eq!(load(0, [1500, 900]).idlest(&load(0, [500, 400])), Some(1));
        assert_eq!(load(0, [500, 900]).idlest(&load(0, [500, 400])), Some(0));
        assert_eq!(load(0, [500, 400]).idlest(&load(0, [500, 400])), Some(1));
    }
}
