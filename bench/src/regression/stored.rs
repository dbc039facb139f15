//! Tier 2: times against those in the baseline's file. Other hours are slower for reasons of the host, so this may warn
//! only, and only when the raw minimum, the calibrated median and the calibrated minimum agree.

use std::collections::BTreeMap;
use std::time::Duration;

use mobilenas_host::load;
use serde::{Deserialize, Serialize};

use super::exact::percent;
use super::finding::{Finding, Tier, Verdict};
use crate::calibration;
use crate::host::Host;
use crate::process::{Client, MeasureError, WorkerProgram};
use crate::stats::{median, minimum};

/// Times of one network and, between its calls, of the calibration kernel: one entry a process, in ms.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StoredTimes {
    /// Median of the network's calls.
    pub median_ms: Vec<f64>,
    /// Their minimum.
    pub minimum_ms: Vec<f64>,
    /// Median of the kernel's runs.
    pub kernel_median_ms: Vec<f64>,
    /// Their minimum.
    pub kernel_minimum_ms: Vec<f64>,
}

/// The times of a baseline's file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredBaseline {
    /// The machine.
    pub host: Host,
    /// The engine with its version.
    pub engine: String,
    /// Version of the calibration kernel.
    #[serde(default = "first")]
    pub kernel: u32,
    /// Times by model; one thread, one image.
    pub models: BTreeMap<String, StoredTimes>,
}

/// The kernel of files that name none.
fn first() -> u32 {
    1
}

/// How a network's times are taken.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Capture {
    /// Fresh processes.
    pub processes: usize,
    /// Timed calls in each.
    pub calls: usize,
    /// Calls before the first timed one.
    pub warmup: usize,
}

impl Default for Capture {
    fn default() -> Capture {
        Capture { processes: 4, calls: 20, warmup: 5 }
    }
}

/// How long the cores are watched before one is chosen.
const WATCH: Duration = Duration::from_millis(150);

impl Capture {
    /// Takes the times of one network; also returns the engine with its version.
    ///
    /// # Errors
    /// When a measuring process fails, or the user asked to stop.
    pub fn take(
        &self,
        program: &WorkerProgram,
        stop: &dyn Fn() -> bool,
    ) -> Result<(StoredTimes, String), MeasureError> {
        let (mut times, mut engine) = (StoredTimes::default(), String::new());
        for _ in 0..self.processes.max(1) {
            if stop() {
                return Err(MeasureError::Stopped);
            }
            let mut process = Client::start(program)?;
            engine = process.ready()?.engine;
            if let Some(core) = load::idlest_core(WATCH) {
                process.pin(core)?;
            }
            for _ in 0..self.warmup {
                process.call()?;
            }
            let (mut calls, mut kernels) = (Vec::new(), Vec::new());
            for _ in 0..self.calls.max(1) {
                calls.push(process.call()?.ms);
                kernels.push(process.kernel_ms()?);
            }
            times.median_ms.extend(median(&calls));
            times.minimum_ms.extend(minimum(&calls));
            times.kernel_median_ms.extend(median(&kernels));
            times.kernel_minimum_ms.extend(minimum(&kernels));
        }
        Ok((times, engine))
    }
}

/// Times of two hours compared in three ways, each as now over then.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratios {
    /// Minimum over minimum.
    pub raw_minimum: f64,
    /// Median over median, each over the kernel's.
    pub calibrated_median: f64,
    /// Minimum over minimum, each over the kernel's.
    pub calibrated_minimum: f64,
}

impl Ratios {
    /// The ratios of two sets of times; `None` if one is empty or not sound.
    pub fn of(was: &StoredTimes, is: &StoredTimes) -> Option<Ratios> {
        let ratio = |f: fn(&[f64]) -> Option<f64>, of: fn(&StoredTimes) -> &Vec<f64>| Some(f(of(is))? / f(of(was))?);
        let raw_minimum = ratio(minimum, |t| &t.minimum_ms)?;
        let kernel_minimum = ratio(minimum, |t| &t.kernel_minimum_ms)?;
        let raw_median = ratio(median, |t| &t.median_ms)?;
        let kernel_median = ratio(median, |t| &t.kernel_median_ms)?;
        let found = Ratios {
            raw_minimum,
            calibrated_median: raw_median / kernel_median,
            calibrated_minimum: raw_minimum / kernel_minimum,
        };
        found.all().iter().all(|r| r.is_finite() && *r > 0.0).then_some(found)
    }

    fn all(&self) -> [f64; 3] {
        [self.raw_minimum, self.calibrated_median, self.calibrated_minimum]
    }

    /// The one nearest to no change: what all three agree on at least.
    pub fn agreed(&self) -> f64 {
        self.all().into_iter().min_by(|a, b| a.ln().abs().total_cmp(&b.ln().abs())).unwrap_or(1.0)
    }

    /// Whether all three are slower than a threshold, a fraction.
    pub fn slower(&self, threshold: f64) -> bool {
        self.all().iter().all(|r| *r > 1.0 + threshold)
    }
}

/// Why two sets of times must not be compared; `None` if they may be.
pub fn incomparable(was: &StoredBaseline, host: &Host, engine: &str) -> Option<String> {
    let mut all = host.differences(&was.host);
    if was.engine != engine {
        all.push(format!("engine {} -> {engine}", was.engine));
    }
    if was.kernel != calibration::VERSION {
        all.push(format!("calibration kernel {} -> {}", was.kernel, calibration::VERSION));
    }
    (!all.is_empty()).then(|| format!("another fingerprint: {}", all.join(", ")))
}

/// The verdict on a network's time against the file's.
pub fn compare(model: &str, was: &StoredTimes, is: &StoredTimes, threshold: f64) -> Finding {
    let finding = |v| Finding::new(Tier::Stored, model, "stored_latency_ms", v);
    let Some(r) = Ratios::of(was, is) else {
        return finding(Verdict::Inconclusive).because("no times", "One side has no times. Nothing could be compared.");
    };
    let verdict = if r.slower(threshold) { Verdict::Warn } else { Verdict::Pass };
    let [a, b, c] = r.all().map(|r| percent(r - 1.0));
    let words = format!("raw minimum {a}, calibrated median {b}, calibrated minimum {c}");
    let rule = match verdict {
        Verdict::Warn => {
            format!("All three are above {}, which may be the host's doing and cannot fail.", percent(threshold))
        }
        _ => format!("A warning needs all three above {}.", percent(threshold)),
    };
    let mut found = finding(verdict)
        .values(minimum(&was.minimum_ms), minimum(&is.minimum_ms))
        .because(words.clone(), format!("Against the stored times: {words}. {rule}"));
    found.change = Some(r.agreed() - 1.0);
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn times(ms: f64, kernel: f64) -> StoredTimes {
        StoredTimes {
            median_ms: vec![ms * 1.02, ms * 1.04],
            minimum_ms: vec![ms, ms * 1.01],
            kernel_median_ms: vec![kernel * 1.02, kernel * 1.04],
            kernel_minimum_ms: vec![kernel, kernel * 1.01],
        }
    }

    #[test]
    fn a_slower_network_on_the_same_host_is_a_warning_and_never_a_failure() {
        let found = compare("m", &times(10.0, 2.0), &times(12.0, 2.0), 0.05);
        assert_eq!(found.verdict, Verdict::Warn);
        assert!((found.change.unwrap() - 0.2).abs() < 1e-9);
    }

    #[test]
    fn a_slower_host_is_no_warning() {
        let found = compare("m", &times(10.0, 2.0), &times(18.0, 3.6), 0.05);
        assert_eq!((found.verdict, found.change.unwrap().abs() < 1e-9), (Verdict::Pass, true));
        insta::assert_snapshot!(found.words, @"raw minimum +80.0 %, calibrated median +0 %, calibrated minimum +0 %");
    }

    #[test]
    fn one_witness_is_not_enough() {
        let mut is = times(10.0, 2.0);
        is.median_ms = vec![20.0; 2];
        assert_eq!(compare("m", &times(10.0, 2.0), &is, 0.05).verdict, Verdict::Pass);
        assert_eq!(compare("m", &times(10.0, 2.0), &StoredTimes::default(), 0.05).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn another_machine_or_engine_is_not_comparable() {
        let host = Host::read();
        let (engine, kernel) = ("libtorch 1".to_string(), calibration::VERSION);
        let was = StoredBaseline { host: host.clone(), engine, kernel, models: BTreeMap::new() };
        assert_eq!(incomparable(&was, &host, "libtorch 1"), None);
        let told = incomparable(&was, &host, "libtorch 2").unwrap();
        assert_eq!(told, "another fingerprint: engine libtorch 1 -> libtorch 2");
        let told = incomparable(&StoredBaseline { kernel: first(), ..was }, &host, "libtorch 1").unwrap();
        assert_eq!(told, "another fingerprint: calibration kernel 1 -> 2");
    }
}
