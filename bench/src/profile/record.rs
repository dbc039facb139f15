//! Rows of a profile: quantiles with their interval, throughput, cold start, memory, and why a row is unreliable.

use serde::{Deserialize, Serialize};

use super::case::ProfileCase;
use super::process_run::ProcessRun;
use super::rules::{self, ProcessRule, ProfileRules};
use crate::host::Host;
use crate::stats::{Interval, median, minimum, quantile};

/// Version of the report's file.
pub const SCHEMA: u32 = 1;
/// Samples below which there is no 90th percentile to be told.
const FOR_P90: usize = 10;
/// Samples below which there is no 99th percentile to be told.
const FOR_P99: usize = 100;

/// All rows with what they have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProfileReport {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The program with its version.
    pub program: String,
    /// The machine.
    pub host: Host,
    /// The rules.
    pub rules: ProfileRules,
    /// The rules in words.
    pub protocol: String,
    /// One for each case that is finished, in the order in which they were measured.
    pub rows: Vec<ProfileRow>,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProfileRow {
    /// What was measured.
    pub case: ProfileCase,
    /// Its numbers, or why there are none.
    pub outcome: ProfileOutcome,
    /// The machine.
    pub host: Host,
}

/// The outcome of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfileOutcome {
    /// Numbers.
    Measured(Box<ProfileNumbers>),
    /// None.
    Failed {
        /// Why, in words.
        why: String,
    },
}

/// Numbers of one case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProfileNumbers {
    /// The engine with its version.
    pub engine: String,
    /// Side of the images in pixels.
    pub resolution: u32,
    /// Median of all samples in ms, with the 95 % interval over processes.
    pub median_ms: Interval,
    /// The fastest sample.
    pub minimum_ms: f64,
    /// Mean of all samples.
    pub mean_ms: f64,
    /// 90th percentile; none with fewer than 10 samples.
    pub p90_ms: Option<f64>,
    /// 99th percentile; none with fewer than 100 samples.
    pub p99_ms: Option<f64>,
    /// Images a second: those of all samples over their time.
    pub images_per_second: f64,
    /// Cold start in ms, median over processes: the network made ready by the engine, and its first call.
    pub cold_start_ms: f64,
    /// Of these, making it ready: batch norms folded, weights packed, kernels chosen.
    pub prepare_ms: f64,
    /// And the first call.
    pub first_ms: f64,
    /// Most resident bytes before the network was made: the program and its libraries.
    pub start_bytes: Option<u64>,
    /// Most resident bytes of a process.
    pub peak_bytes: Option<u64>,
    /// Most resident bytes of a process while it only ran.
    pub running_bytes: Option<u64>,
    /// Most bytes that the engine's allocator held at once during a call; none if the engine does not say.
    pub allocator_bytes: Option<u64>,
    /// Samples in all.
    pub samples: usize,
    /// Of these, taken while the machine was noisy.
    pub noisy_samples: usize,
    /// What the measuring added to the samples' time, as a share of it.
    pub cost: f64,
    /// Why the numbers are not to be relied on; empty if they are.
    pub unreliable: Vec<String>,
    /// Everything that was seen, process by process.
    pub processes: Vec<ProcessRun>,
}

fn over(processes: &[ProcessRun], of: impl Fn(&ProcessRun) -> f64) -> f64 {
    median(&processes.iter().map(of).collect::<Vec<_>>()).unwrap_or(f64::NAN)
}

impl ProfileNumbers {
    /// The numbers of a case's processes; `None` if nothing was timed.
    pub fn of(rules: &ProfileRules, batch: usize, processes: Vec<ProcessRun>) -> Option<ProfileNumbers> {
        let rounds: Vec<Vec<f64>> = processes.iter().map(|p| p.samples_ms.clone()).collect();
        let all = rounds.concat();
        let interval = ProcessRule::interval(&rounds, rules.seed)?;
        let total: f64 = all.iter().sum();
        let wall: f64 = processes.iter().map(|p| p.sampling_seconds * 1e3).sum();
        let most = |of: fn(&ProcessRun) -> Option<u64>| processes.iter().filter_map(of).max();
        let first = processes.first()?;
        Some(ProfileNumbers {
            engine: first.ready.engine.clone(),
            resolution: first.ready.resolution,
            median_ms: interval,
            minimum_ms: minimum(&all)?,
            mean_ms: total / all.len() as f64,
            p90_ms: quantile(&all, 0.9).filter(|_| all.len() >= FOR_P90),
            p99_ms: quantile(&all, 0.99).filter(|_| all.len() >= FOR_P99),
            images_per_second: (batch * all.len()) as f64 / (total / 1e3),
            cold_start_ms: over(&processes, |p| p.ready.prepare_ms + p.first_ms),
            prepare_ms: over(&processes, |p| p.ready.prepare_ms),
            first_ms: over(&processes, |p| p.first_ms),
            start_bytes: most(|p| p.ready.start_bytes),
            peak_bytes: most(|p| p.memory.peak_bytes),
            running_bytes: most(|p| p.memory.running_bytes),
            allocator_bytes: most(|p| p.memory.allocator_bytes),
            samples: all.len(),
            noisy_samples: processes.iter().map(ProcessRun::noisy_samples).sum(),
            cost: wall / total - 1.0,
            unreliable: reasons(rules, &processes, &interval),
            processes,
        })
    }

    /// Cores that the processes ran on, each once.
    pub fn cores(&self) -> Vec<usize> {
        let mut cores: Vec<usize> = self.processes.iter().flat_map(|p| p.ready.cores.clone()).collect();
        cores.sort_unstable();
        cores.dedup();
        cores
    }
}

/// Why the numbers of these processes are not to be relied on.
pub fn reasons(rules: &ProfileRules, processes: &[ProcessRun], interval: &Interval) -> Vec<String> {
    let (n, mut all) = (processes.len(), Vec::new());
    let never = processes.iter().filter(|p| !p.steady).count();
    if never > 0 {
        let limit = rules.steady.max_seconds;
        all.push(format!("{never} of {n} processes never became steady in {limit} s of warm-up"));
    }
    let (found, wanted) = (rules::width(interval), rules.across.width);
    if found.is_nan() || found > wanted {
        let (found, wanted) = (found * 100.0, (wanted * 1e4).round() / 1e2);
        all.push(format!("the interval of the median is {found:.1} % wide, wanted {wanted} %"));
    }
    let trends = processes.iter().filter_map(|p| rules::trend(&p.samples_ms));
    let beyond: Vec<f64> = trends.filter(|t| t.abs() > rules.limits.trend).collect();
    if let Some(most) = beyond.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())) {
        let most = most * 100.0;
        all.push(format!("the calls of {} of {n} processes drifted, by up to {most:+.1} %", beyond.len()));
    }
    let samples: usize = processes.iter().map(|p| p.samples_ms.len()).sum();
    let noisy: usize = processes.iter().map(ProcessRun::noisy_samples).sum();
    let share = noisy as f64 / samples.max(1) as f64;
    if share > rules.limits.share {
        let why = processes.iter().flat_map(|p| &p.windows).find_map(|w| w.noisy.clone()).unwrap_or_default();
        all.push(format!("{:.0} % of the samples were taken on a noisy machine, as when {why}", share * 100.0));
    }
    all
}

/// One cell of a flat table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Text.
    Text(Option<String>),
    /// A number.
    Number(Option<f64>),
    /// A whole number.
    Whole(Option<u64>),
}

impl ProfileRow {
    /// `measured`, `unreliable` or `failed`.
    pub fn status(&self) -> &'static str {
        match &self.outcome {
            ProfileOutcome::Measured(m) if m.unreliable.is_empty() => "measured",
            ProfileOutcome::Measured(_) => "unreliable",
            ProfileOutcome::Failed { .. } => "failed",
        }
    }

    /// The numbers, if there are any.
    pub fn measured(&self) -> Option<&ProfileNumbers> {
        match &self.outcome {
            ProfileOutcome::Measured(m) => Some(m),
            ProfileOutcome::Failed { .. } => None,
        }
    }

    /// Why it failed or is not to be relied on.
    pub fn why(&self) -> Option<String> {
        match &self.outcome {
            ProfileOutcome::Measured(m) => Some(m.unreliable.join("; ")).filter(|w| !w.is_empty()),
            ProfileOutcome::Failed { why } => Some(why.clone()),
        }
    }

    /// The row of CSV and Parquet: names and values; the same names for every record.
    pub fn flat(&self) -> Vec<(&'static str, Cell)> {
        let m = self.measured();
        let text = |t: &str| Cell::Text(Some(t.to_string()));
        let number =
            |of: &dyn Fn(&ProfileNumbers) -> Option<f64>| Cell::Number(m.and_then(of).filter(|v| v.is_finite()));
        let whole = |of: &dyn Fn(&ProfileNumbers) -> Option<u64>| Cell::Whole(m.and_then(of));
        let mut row = vec![
            ("model", text(&self.case.model)),
            ("resolution", whole(&|m| Some(u64::from(m.resolution)))),
            ("engine", text(&self.case.engine)),
            ("engine_version", Cell::Text(m.map(|m| m.engine.clone()))),
            ("threads", Cell::Whole(Some(self.case.threads as u64))),
            ("batch", Cell::Whole(Some(self.case.batch as u64))),
            ("cores", Cell::Text(m.map(|m| list(&m.cores())))),
            ("status", text(self.status())),
            ("why", Cell::Text(self.why())),
            ("p50_ms", number(&|m| Some(m.median_ms.middle))),
            ("p50_low_ms", number(&|m| Some(m.median_ms.low))),
            ("p50_high_ms", number(&|m| Some(m.median_ms.high))),
            ("p90_ms", number(&|m| m.p90_ms)),
            ("p99_ms", number(&|m| m.p99_ms)),
            ("minimum_ms", number(&|m| Some(m.minimum_ms))),
            ("mean_ms", number(&|m| Some(m.mean_ms))),
            ("images_per_second", number(&|m| Some(m.images_per_second))),
            ("cold_start_ms", number(&|m| Some(m.cold_start_ms))),
            ("prepare_ms", number(&|m| Some(m.prepare_ms))),
            ("first_ms", number(&|m| Some(m.first_ms))),
            ("start_bytes", whole(&|m| m.start_bytes)),
            ("peak_bytes", whole(&|m| m.peak_bytes)),
            ("running_bytes", whole(&|m| m.running_bytes)),
            ("allocator_bytes", whole(&|m| m.allocator_bytes)),
            ("processes", whole(&|m| Some(m.processes.len() as u64))),
            ("samples", whole(&|m| Some(m.samples as u64))),
            ("noisy_samples", whole(&|m| Some(m.noisy_samples as u64))),
            ("cost_percent", number(&|m| Some(m.cost * 100.0))),
        ];
        row.extend(self.machine());
        row
    }

    /// The columns of the machine: its load while the samples were taken, and its fingerprint.
    fn machine(&self) -> Vec<(&'static str, Cell)> {
        let m = self.measured();
        let windows = || m.into_iter().flat_map(|m| &m.processes).flat_map(|p| &p.windows);
        // Over the windows' time; none if no window knows.
        let mean = |of: &dyn Fn(&crate::noise::SampleWindow) -> Option<f64>| {
            let known: Vec<(f64, f64)> = windows().filter_map(|w| Some((of(w)?, w.seconds))).collect();
            let seconds: f64 = known.iter().map(|(_, s)| s).sum();
            Cell::Number((!known.is_empty()).then(|| known.iter().map(|(v, s)| v * s).sum::<f64>() / seconds))
        };
        let steal: Vec<f64> = windows().filter_map(|w| w.load.steal_ms).collect();
        let before = |of: &dyn Fn(&ProcessRun) -> Option<f64>| {
            let known: Vec<f64> = m.into_iter().flat_map(|m| &m.processes).filter_map(of).collect();
            Cell::Number(median(&known))
        };
        let (h, text) = (&self.host, |t: &str| Cell::Text(Some(t.to_string())));
        vec![
            ("steal_ms", Cell::Number((!steal.is_empty()).then(|| steal.iter().sum()))),
            ("foreign_cores", mean(&|w| w.foreign())),
            ("waiting_share", mean(&|w| w.load.waiting)),
            ("frequency_mhz", mean(&|w| w.frequency_mhz)),
            ("busy_cores_before", before(&|p| p.before.busy_cores)),
            ("load_average", before(&|p| p.load_average)),
            ("cpu", text(&h.machine.cpu)),
            ("host_cores", Cell::Whole(Some(h.machine.cores as u64))),
            ("host_memory", Cell::Whole(Some(h.machine.memory))),
            ("os", text(&h.machine.os)),
            ("governor", text(&h.governor)),
            ("hypervisor", text(&h.hypervisor)),
            ("program", text(&h.program)),
        ]
    }
}

fn list(cores: &[usize]) -> String {
    cores.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
