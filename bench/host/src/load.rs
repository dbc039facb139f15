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

    /// The cores that did least since an earlier reading, at most `n` of those that are allowed, the idlest first; of
    /// equals the last, since the first takes most interrupts.
    pub fn idlest(&self, earlier: &Load, allowed: &[usize], n: usize) -> Vec<usize> {
        let known = self.busy.len().min(earlier.busy.len());
        let mut cores: Vec<usize> = allowed.iter().rev().copied().filter(|i| *i < known).collect();
        cores.sort_by_key(|i| self.busy[*i].saturating_sub(earlier.busy[*i]));
        cores.truncate(n);
        cores
    }
}

/// The cores that do least, at most `n`, watched for `window`; and what the machine did meanwhile.
pub fn idlest_cores(window: Duration, n: usize) -> (Vec<usize>, Change) {
    let before = Load::read();
    std::thread::sleep(window);
    let after = Load::read();
    (after.idlest(&before, &allowed_cores(), n), after.since(&before, window))
}

/// The core that does least, watched for `window`.
pub fn idlest_core(window: Duration) -> Option<usize> {
    idlest_cores(window, 1).0.first().copied()
}

/// Load average of the last minute, if the system keeps one.
pub fn average() -> Option<f64> {
    sysinfo::System::load_average().ok().map(|l| l.one)
}

/// Current frequency of a core in MHz, where the system tells.
pub fn frequency_mhz(core: usize) -> Option<f64> {
    let file = format!("/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq");
    std::fs::read_to_string(file).ok()?.trim().parse::<f64>().ok().map(|khz| khz / 1e3)
}

/// Lets this thread, and those it starts, run on some cores only.
///
/// # Errors
/// When the system refuses, as for a core that is not there.
pub fn pin(cores: &[usize]) -> std::io::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    if cores.iter().any(|c| *c >= rustix::thread::CpuSet::MAX_CPU) {
        return Err(std::io::Error::from(std::io::ErrorKind::InvalidInput));
    }
    cores.iter().for_each(|c| set.set(*c));
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

/// The cores that this thread may run on; none where the system does not say.
pub fn allowed_cores() -> Vec<usize> {
    let Ok(set) = rustix::thread::sched_getaffinity(None) else { return Vec::new() };
    (0..rustix::thread::CpuSet::MAX_CPU).filter(|c| set.is_set(*c)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
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
    fn the_idlest_cores_did_least() {
        let idlest = |now, n| load(0, now).idlest(&load(0, [500, 400]), &[0, 1], n);
        assert_eq!(idlest([1500, 900], 1), [1]);
        assert_eq!(idlest([500, 900], 1), [0]);
        assert_eq!(idlest([500, 400], 1), [1]);
        assert_eq!(idlest([500, 900], 9), [0, 1]);
        assert_eq!(load(0, [500, 900]).idlest(&load(0, [500, 400]), &[1], 2), [1], "not those that are forbidden");
    }

    #[test]
    fn a_thread_runs_where_it_was_put() {
        let allowed = allowed_cores();
        let Some(last) = allowed.last().copied() else { return };
        let seen = std::thread::spawn(move || pin(&[last]).map(|()| allowed_cores())).join().unwrap();
        assert_eq!(seen.unwrap(), [last]);
        assert!(pin(&[1 << 20]).is_err());
        assert_eq!(allowed_cores(), allowed, "other threads are left alone");
    }
}
