//! How often the regression check is wrong: the same network against itself, and against itself with real work added,
//! on an idle machine and with one core busy. Writes one line of JSON a trial, so that it can be stopped and continued.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;
use mobilenas_bench::Host;
use mobilenas_bench::process::{self, WorkerProgram, Workload};
use mobilenas_bench::regression::Verdict;
use mobilenas_bench::regression::paired::{PairedComparison, PairedRule, PairedRun};
use mobilenas_bench::regression::process_pairs::{PairSetup, ProcessPairs};
use mobilenas_bench::regression::round::RoundSource as _;
use mobilenas_bench::stats::{median, share};
use mobilenas_host::json_file::FileError;
use mobilenas_host::{Clock as _, WallClock, load};
use serde::{Deserialize, Serialize};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A/A trials of the regression check and trials with injected slowdowns.
#[derive(Debug, Parser)]
struct Args {
    /// Published networks, taken in turn
    #[arg(long, value_delimiter = ',', default_value = "mobilenetv3_small_100,mobilevit_xxs")]
    models: Vec<String>,
    /// Added work in percent of a call, taken in turn
    #[arg(long, value_delimiter = ',', default_value = "0,3,5,10")]
    injected: Vec<f64>,
    /// Cores that are kept busy by something else, taken in turn
    #[arg(long, value_delimiter = ',', default_value = "0,1")]
    busy: Vec<usize>,
    /// Nothing is spun: whoever started this keeps the cores busy otherwise
    #[arg(long)]
    by_others: bool,
    /// Percent that an upper bound has to be below for a pass
    #[arg(long, default_value_t = 5.0)]
    delta: f64,
    /// No trial is begun after so many minutes
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// Trials in all, those in the file included
    #[arg(long, default_value_t = 1_000_000)]
    trials: usize,
    /// JSON lines; those that are there are counted, and trials are appended
    #[arg(long, default_value = "target/gate-trials.jsonl")]
    file: PathBuf,
    /// Keep the times of every block too, to try other rules on
    #[arg(long)]
    blocks: bool,
    /// Only print what the file says
    #[arg(long)]
    summary: bool,
}

/// One trial.
#[derive(Debug, Serialize, Deserialize)]
struct Trial {
    model: String,
    busy_cores: usize,
    /// Whether something that this program did not start kept them busy.
    #[serde(default)]
    by_others: bool,
    /// Cores that were busy during the rounds, on average, our own included.
    #[serde(default)]
    seen_busy: Option<f64>,
    injected_percent: f64,
    /// The added work in percent of the rest of the candidate's call, median over calls.
    measured_percent: f64,
    units: u32,
    delta_percent: f64,
    /// Blocks of a round, at most.
    blocks: usize,
    verdict: Verdict,
    first: Verdict,
    rounds: usize,
    repeated: usize,
    seconds: f64,
    change_percent: Option<f64>,
    interval_percent: Option<[f64; 2]>,
    /// Why rounds were repeated, each.
    #[serde(default)]
    noisy: Vec<String>,
    /// Of each round of each run: the median logarithm of the ratio.
    round_logs: Vec<Vec<f64>>,
    /// Of each round of each run: the logarithms of the ratios, block by block.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    block_logs: Vec<Vec<Vec<f32>>>,
    load_average: Option<f64>,
    cpu: String,
}

fn program(model: &str, extra: u32) -> Result<WorkerProgram> {
    let program = mobilenas_host::program::file()?;
    let workload = Workload { extra, ..Workload::new(model, "libtorch-plain") };
    Ok(WorkerProgram::new(program, &["worker"], workload))
}

/// Rounds of pairs in which the cost of added work is found.
const CALIBRATION_ROUNDS: u64 = 3;

/// A unit of added work in percent of a call, in pairs as they are timed and with the machine as it is then.
fn calibrate(model: &str) -> Result<f64> {
    const UNITS: u32 = 50;
    let never = || false;
    let mut pairs = ProcessPairs::new(program(model, 0)?, program(model, UNITS)?, PairSetup::default(), &never);
    for index in 0..CALIBRATION_ROUNDS {
        pairs.round(index)?;
    }
    Ok(100.0 * median(&pairs.added).unwrap_or(f64::NAN) / f64::from(UNITS))
}

/// Keeps a core busy until it is dropped.
struct Busy(Arc<AtomicBool>, Vec<std::thread::JoinHandle<u64>>);

impl Busy {
    fn on(cores: impl Iterator<Item = usize>) -> Busy {
        let end = Arc::new(AtomicBool::new(false));
        let spin = |core: usize| {
            let end = end.clone();
            std::thread::spawn(move || {
                // Where pinning is refused the core is the scheduler's choice.
                let _ = load::pin(&[core]);
                let mut x = 1u64;
                while !end.load(Ordering::Relaxed) {
                    for _ in 0..10_000 {
                        x = std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
                    }
                }
                x
            })
        };
        let all = cores.map(spin).collect();
        Busy(end, all)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        self.1.drain(..).for_each(|t| drop(t.join()));
    }
}

fn logs(run: &PairedRun) -> Vec<f64> {
    run.rounds.sound().filter_map(|r| median(&r.log_ratios())).collect()
}

fn all_logs(run: &PairedRun) -> Vec<Vec<f32>> {
    run.rounds.sound().map(|r| r.log_ratios().iter().map(|x| *x as f32).collect()).collect()
}

fn trial(args: &Args, n: usize, known: &mut BTreeMap<(String, usize), f64>) -> Result<Trial> {
    let cells = args.injected.len() * args.busy.len();
    let model = &args.models[(n / cells) % args.models.len()];
    let percent = args.injected[n % args.injected.len()];
    let cores = args.busy[(n / args.injected.len()) % args.busy.len()];
    let host = Host::read();
    // The busy core changes, so that no core's own speed is mistaken for the condition.
    let spun = if args.by_others { 0 } else { cores };
    let busy = Busy::on((0..spun).map(|i| (n / cells + i) % host.machine.cores.max(1)));
    std::thread::sleep(Duration::from_millis(300));
    let condition = (model.clone(), cores);
    let unit = match known.get(&condition) {
        Some(found) => *found,
        None => *known.entry(condition.clone()).or_insert(calibrate(model)?),
    };
    let units = (percent / unit).round() as u32;
    let seed = n as u64 + 1;
    let rule = PairedRule { delta: args.delta / 100.0, seed, ..PairedRule::default() };
    let setup = PairSetup { seed, ..PairSetup::default() };
    let never = || false;
    let blocks = setup.blocks;
    let mut pairs = ProcessPairs::new(program(model, 0)?, program(model, units)?, setup, &never);
    let clock = WallClock::new();
    let seen: PairedComparison = rule.compare(&mut pairs, &mut |_| {})?;
    let seconds = clock.now().as_secs_f64();
    drop(busy);
    let runs: Vec<&PairedRun> = std::iter::once(&seen.first).chain(&seen.second).collect();
    let finding = seen.finding(model, &rule);
    let measured = 100.0 * median(&pairs.added).unwrap_or(f64::NAN);
    if units > 0 && measured.is_finite() {
        // The machine changes: the next trial adds what this one says is right.
        known.insert(condition, measured / f64::from(units));
    }
    Ok(Trial {
        model: model.clone(),
        busy_cores: cores,
        by_others: args.by_others,
        seen_busy: median(
            &runs.iter().flat_map(|r| r.rounds.sound()).filter_map(|r| r.load.busy_cores).collect::<Vec<_>>(),
        ),
        injected_percent: percent,
        measured_percent: measured,
        units,
        delta_percent: args.delta,
        blocks,
        verdict: seen.verdict,
        first: seen.first.verdict,
        rounds: runs.iter().map(|r| r.rounds.sound().count()).sum(),
        repeated: seen.repeated(),
        seconds,
        change_percent: finding.change.map(|c| c * 100.0),
        interval_percent: finding.interval.map(|i| i.map(|x| x * 100.0)),
        noisy: runs.iter().flat_map(|r| r.rounds.all.iter()).filter_map(|r| r.noisy.clone()).collect(),
        block_logs: runs.iter().filter(|_| args.blocks).map(|r| all_logs(r)).collect(),
        round_logs: runs.into_iter().map(logs).collect(),
        load_average: load::average(),
        cpu: host.machine.cpu,
    })
}

fn read(file: &Path) -> Vec<Trial> {
    let text = fs::read_to_string(file).unwrap_or_default();
    // A last line that a stop cut short is no trial.
    text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect()
}

/// Counts by condition and injection, over all networks, as a table in Markdown.
fn summary(trials: &[Trial]) -> String {
    let mut cells: BTreeMap<(usize, bool, u64), Vec<&Trial>> = BTreeMap::new();
    for t in trials {
        cells.entry((t.busy_cores, t.by_others, (t.injected_percent * 100.0) as u64)).or_default().push(t);
    }
    let mut out = String::from(
        "| busy cores | added | measured | seen | trials | failed | share (95 %) | before confirmation | undecided | passed | rounds | \
         repeated | s a model |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for ((cores, others, added), all) in cells {
        let count = |f: &dyn Fn(&Trial) -> bool| all.iter().filter(|t| f(t)).count();
        let mean = |f: &dyn Fn(&Trial) -> f64| all.iter().map(|t| f(t)).sum::<f64>() / all.len() as f64;
        let middle = |f: &dyn Fn(&Trial) -> Option<f64>| {
            median(&all.iter().filter_map(|t| f(t)).collect::<Vec<_>>()).unwrap_or(f64::NAN)
        };
        let failed = count(&|t| t.verdict == Verdict::Fail);
        let [low, high] = share(failed, all.len(), 0.95).map(|x| 100.0 * x);
        out += &format!(
            "| {cores}{} | {} % | {:.1} % | {:+.1} % | {} | {failed} | {:.1} % ({low:.1} to {high:.1}) | {} | {} | {} | {:.1} | {:.1} | {:.1} |\n",
            if others { ", others' work" } else { "" },
            added as f64 / 100.0,
            middle(&|t| Some(t.measured_percent)),
            middle(&|t| t.change_percent),
            all.len(),
            100.0 * failed as f64 / all.len() as f64,
            count(&|t| t.first == Verdict::Fail),
            count(&|t| t.verdict == Verdict::Inconclusive),
            count(&|t| t.verdict == Verdict::Pass),
            mean(&|t| t.rounds as f64),
            mean(&|t| t.repeated as f64),
            mean(&|t| t.seconds),
        );
    }
    out
}

fn run(args: &Args) -> Result<()> {
    let write = |source| FileError::Write { file: args.file.clone(), source };
    let mut done = read(&args.file);
    let (clock, mut known) = (WallClock::new(), BTreeMap::new());
    while !args.summary && done.len() < args.trials && clock.now().as_secs_f64() < args.minutes * 60.0 {
        let t = trial(args, done.len(), &mut known)?;
        eprintln!(
            "{:>4} {} busy {} injected {} %: {} in {:.0} s",
            done.len(),
            t.model,
            t.busy_cores,
            t.injected_percent,
            t.verdict,
            t.seconds
        );
        let line = serde_json::to_string(&t).unwrap_or_default() + "\n";
        let mut file = fs::File::options().create(true).append(true).open(&args.file).map_err(write)?;
        file.write_all(line.as_bytes()).and_then(|()| file.sync_data()).map_err(write)?;
        done.push(t);
    }
    print!("{}", summary(&done));
    Ok(())
}

fn main() -> ExitCode {
    process::program(run)
}
