//! `mobilenas bench run` on another device: each network in rounds beside MobileNetV2.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use mobilenas_bench::latency_table::builder::BuildError;
use mobilenas_bench::latency_table::networks;
use mobilenas_bench::on_device::{OnDevice, OnDeviceError, Voice};
use mobilenas_bench::profile::rules::ProcessRule;
use mobilenas_bench::stats::Interval;
use mobilenas_device::{DeviceConfig, DeviceError, DeviceRecord, Seen, Session, Surroundings};
use mobilenas_host::json_file;
use mobilenas_host::{Lock, Progress, Stop, errln, outln};
use mobilenas_pipeline::config::{self, BenchConfig};
use mobilenas_record::text;
use mobilenas_reports::zoo::{MeasuredNetwork, model_zoo};
use mobilenas_space::ir::Graph;
use mobilenas_space::{cost, families};
use serde::{Deserialize, Serialize};

use super::super::regression::file;
use super::files::write_zoo;
use crate::cli::{Input, networks as found};

/// The report's file.
const FILE: &str = "device.json";
/// Version of the report's file.
const SCHEMA: u32 = 1;

/// What was measured on another device.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct DeviceReport {
    /// [`SCHEMA`].
    schema: u32,
    /// The program with its version.
    program: String,
    /// One row for each network and setting.
    rows: Vec<DeviceRow>,
}

/// A network on a device.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct DeviceRow {
    model: String,
    batch: usize,
    device: DeviceRecord,
    protocol: String,
    outcome: Outcome,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Measured(Box<Measured>),
    Failed { why: String },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Measured {
    /// Median over runs of the program, with its 95 % interval.
    median_ms: Interval,
    /// Median over rounds of the time over MobileNetV2's.
    ratio: f64,
    /// Of each round: the network's time, and MobileNetV2's.
    ms: Vec<f64>,
    reference_ms: Vec<f64>,
    seen: Seen,
}

impl DeviceRow {
    fn measured(&self) -> Option<&Measured> {
        match &self.outcome {
            Outcome::Measured(m) => Some(m),
            Outcome::Failed { .. } => None,
        }
    }

    fn line(&self) -> String {
        let head = format!("{:<36} {:>7} {:>5}", self.model, self.device.threads, self.batch);
        match &self.outcome {
            Outcome::Measured(m) => {
                let i = m.median_ms;
                format!("{head} {:>10.3}  {:>9.3} to {:<9.3} {:>8.3}", i.middle, i.low, i.high, m.ratio)
            }
            Outcome::Failed { why } => format!("{head}     failed  {why}"),
        }
    }
}

/// What is measured in one setting.
struct Case {
    model: String,
    graph: Arc<Graph>,
}

/// Where the report goes.
pub(super) struct Destination<'a> {
    pub out: Option<&'a PathBuf>,
    pub resume: bool,
    pub json: bool,
}

/// Measures.
///
/// # Errors
/// When the input is wrong, the device stays away, or a file cannot be written. A network that the device's program refuses is
/// a row.
pub(super) fn run(config: &BenchConfig, device: &DeviceConfig, to: &Destination<'_>) -> Result<i32> {
    let stop = Stop::on_signals()?;
    let cases = cases(config)?;
    let lock = |folder: &PathBuf| Lock::folder(folder, "mobilenas bench run");
    let _lock = to.out.map(lock).transpose().map_err(|e| Input(e.to_string()))?;
    let mut report = begin(to)?;
    let (voice, progress) = (Voice::default(), Progress::new("bench"));
    voice.set(progress.teller());
    let (say, sleep) = (|text: &str| voice.say(text), |time| mobilenas_device::rest(time, &stop));
    let around = Surroundings { stop: &stop, sleep: &sleep, say: &say };
    let settings: Vec<(usize, usize)> =
        config.threads.iter().flat_map(|t| config.batch.iter().map(|b| (*t, *b))).collect();
    progress.begin((cases.len() * settings.len()) as u64, 0);
    let print = |line: &str| {
        let mut told = Ok(());
        progress.aside(|| {
            told = if to.json {
                errln!("{line}");
                Ok(())
            } else {
                outln!("{line}")
            }
        });
        if to.out.is_some() { Ok(()) } else { told }
    };
    print(&format!("{:<36} threads batch  median ms          95 % interval  of {}", "network", networks::REFERENCE))?;
    let reference = Arc::new(networks::reference().ok_or(BuildError::Reference)?.0);
    let mut at = 0;
    'all: for (threads, batch) in settings {
        let session = match Session::open(device, threads, around) {
            Err(DeviceError::Stopped) => break,
            other => other.map_err(refused)?,
        };
        let (rounds, seed) = (config.processes.max, config.seed);
        let mut timer = OnDevice { session, voice: &voice, batch, rounds, seed };
        for case in &cases {
            at += 1;
            let record = timer.session.record().clone();
            let same = |r: &&DeviceRow| r.model == case.model && r.batch == batch && r.device == record;
            if let Some(row) = report.rows.iter().find(same) {
                print(&row.line())?;
                continue;
            }
            let tell = |message: &str| progress.at(at - 1, &format!("{}, {message}", case.model));
            let outcome = match timer.rounds(std::slice::from_ref(&case.graph), &reference, 1, &tell) {
                Err(OnDeviceError::Device(DeviceError::Stopped)) => break 'all,
                Err(OnDeviceError::Device(e)) if e.is_of_network() => Outcome::Failed { why: e.to_string() },
                other => {
                    let (series, reference_ms, seen) = other.map_err(BuildError::from)?;
                    measured(&series[0], reference_ms, seen, config.seed)
                }
            };
            let protocol = format!("{rounds} rounds of one run each, {}", timer.session.protocol());
            let row = DeviceRow { model: case.model.clone(), batch, device: record, protocol, outcome };
            print(&row.line())?;
            report.rows.push(row);
            if let Some(folder) = to.out {
                save(&report, folder)?;
            }
        }
    }
    progress.done();
    if let Some(folder) = to.out {
        zoo(&report, folder)?;
    }
    if to.json {
        outln!("{}", serde_json::to_string(&report)?)?;
    }
    let good = report.rows.iter().filter(|r| r.measured().is_some()).count();
    errln!("{good} measured, {} failed", report.rows.len() - good);
    if stop.asked() {
        return Ok(stop.exit_code());
    }
    Ok(i32::from(good == 0))
}

fn refused(e: DeviceError) -> BuildError {
    BuildError::from(OnDeviceError::from(e))
}

fn measured(series: &mobilenas_bench::Series, reference_ms: Vec<f64>, seen: Seen, seed: u64) -> Outcome {
    let runs: Vec<Vec<f64>> = series.ms.iter().map(|ms| vec![*ms]).collect();
    match ProcessRule::interval(&runs, seed) {
        Some(median_ms) => {
            let (ratio, ms) = (series.ratio(), series.ms.clone());
            Outcome::Measured(Box::new(Measured { median_ms, ratio, ms, reference_ms, seen }))
        }
        None => Outcome::Failed { why: "no run was timed".to_string() },
    }
}

fn cases(config: &BenchConfig) -> Result<Vec<Case>> {
    let mut all = Vec::new();
    for model in config.models() {
        let plan = families::plan(&model, None, 1000).map_err(|e| Input(format!("{model}: {e}")))?;
        all.push(Case { graph: Arc::new(plan.lower()?), model });
    }
    for one in &config.found {
        let space = found::one_network(&one.genome, config::load_genome(&one.genome, one.classes, None)?)?;
        all.push(Case { graph: Arc::new(space.lower(&space.smallest())?), model: one.name() });
    }
    Ok(all)
}

/// The report so far: empty, or that of the folder without what failed, which is tried again.
fn begin(to: &Destination<'_>) -> Result<DeviceReport> {
    let program = concat!("mobilenas ", env!("CARGO_PKG_VERSION")).to_string();
    let mut report = DeviceReport { schema: SCHEMA, program, rows: Vec::new() };
    let Some(folder) = to.out else { return Ok(report) };
    let old = json_file::read::<DeviceReport>(&folder.join(FILE), SCHEMA, "measurements on a device").map_err(file)?;
    match old {
        None => Ok(report),
        Some(_) if !to.resume => Err(Input(format!(
            "{}: holds measurements, expected a new folder; --resume goes on with those that are there",
            folder.display()
        ))
        .into()),
        Some(old) => {
            report.rows = old.rows.into_iter().filter(|r| r.measured().is_some()).collect();
            Ok(report)
        }
    }
}

fn save(report: &DeviceReport, folder: &Path) -> Result<()> {
    let path = folder.join(FILE);
    let text = json_file::text(&path, report, true)?;
    Ok(json_file::write(&path, text.as_bytes())?)
}

/// The model zoo of each device and setting.
fn zoo(report: &DeviceReport, folder: &Path) -> Result<()> {
    let setting = |r: &DeviceRow| (r.device.clone(), r.batch);
    let mut settings = Vec::new();
    for row in &report.rows {
        if !settings.contains(&setting(row)) {
            settings.push(setting(row));
        }
    }
    for (i, one) in settings.iter().enumerate() {
        let rows = report.rows.iter().filter(|r| setting(r) == *one);
        let network = |r: &DeviceRow| {
            let (m, graph) = (r.measured()?, families::plan(&r.model, None, 1000).ok()?.lower().ok()?);
            let (cost, i) = (cost::graph(&graph), m.median_ms);
            Some(MeasuredNetwork {
                id: r.model.clone(),
                params: cost.params,
                macs: cost.macs,
                latency_ms: i.middle,
                interval_ms: (i.low, i.high),
                reliable: m.seen.throttled == 0,
            })
        };
        let all: Vec<MeasuredNetwork> = rows.filter_map(network).collect();
        let (device, batch) = one;
        let words = format!(
            "{} {}, {}, {} at a time, {}",
            device.engine(),
            device.version,
            text::plural(device.threads, "thread"),
            text::plural(*batch, "image"),
            device.caption()
        );
        if let Some(zoo) = model_zoo(&words, &all)? {
            write_zoo(folder, i, &zoo)?;
        }
    }
    Ok(())
}
