//! How often the gate is wrong: the same network against itself, and against itself with some real work added, on an idle
//! machine and with one core busy. One JSON line a trial, so that it can be stopped and continued.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;
use mobilenas_bench::gate::finding::Verdict;
use mobilenas_bench::gate::paired::{Paired, Rule, Run};
use mobilenas_bench::gate::pairs::{Pairs, Setup, Side, Worker};
use mobilenas_bench::gate::{GateError, worker};
use mobilenas_bench::stats::median;
use mobilenas_bench::{Clock as _, Host, Wall, load};
use serde::{Deserialize, Serialize};

/// A/A trials of the gate and trials with injected slowdowns.
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
    /// Only print what the file says
    #[arg(long)]
    summary: bool,
}

/// One trial.
#[derive(Debug, Serialize, Deserialize)]
struct Trial {
    model: String,
    busy_cores: usize,
    injected_percent: f64,
    /// Of the candidate's time without the added work, in percent.
    measured_percent: f64,
    units: u32,
    delta_percent: f64,
    verdict: Verdict,
    first: Verdict,
    rounds: usize,
    repeated: usize,
    seconds: f64,
    change_percent: Option<f64>,
    interval_percent: Option<[f64; 2]>,
    /// Of each round of each run: the median logarithm of the ratio.
    round_logs: Vec<Vec<f64>>,
    load_average: Option<f64>,
    cpu: String,
}

fn side(model: &str, extra: u32) -> Result<Side, GateError> {
    let program = std::env::current_exe()
        .map_err(|e| GateError::Worker { program: "gate_trials".into(), message: e.to_string() })?;
    Ok(Side { extra, ..Side::new(program, &["worker"], model, "libtorch-plain") })
}

/// Milliseconds of a call and of a unit of added work.
fn calibrate(model: &str) -> Result<(f64, f64), GateError> {
    const UNITS: u32 = 50;
    let mut worker = Worker::start(&side(model, UNITS)?)?;
    worker.ready()?;
    let mut answers = Vec::new();
    for i in 0..45 {
        let answer = worker.ask("call")?;
        if i >= 15 {
            answers.push(answer);
        }
    }
    let of = |f: fn(&worker::Answer) -> f64| median(&answers.iter().map(f).collect::<Vec<_>>()).unwrap_or(f64::NAN);
    Ok((of(|a| a.ms - a.extra_ms), of(|a| a.extra_ms) / f64::from(UNITS)))
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

fn logs(run: &Run) -> Vec<f64> {
    run.rounds.sound().filter_map(|r| median(&r.log_ratios())).collect()
}

fn trial(args: &Args, n: usize, known: &mut BTreeMap<String, (f64, f64)>) -> Result<Trial, GateError> {
    let cells = args.injected.len() * args.busy.len();
    let model = &args.models[(n / cells) % args.models.len()];
    let percent = args.injected[n % args.injected.len()];
    let cores = args.busy[(n / args.injected.len()) % args.busy.len()];
    let (call, unit) = match known.get(model) {
        Some(found) => *found,
        None => {
            let found = calibrate(model)?;
            known.insert(model.clone(), found);
            found
        }
    };
    let units = (percent / 100.0 * call / unit).round() as u32;
    let seed = n as u64 + 1;
    let rule = Rule { delta: args.delta / 100.0, seed, ..Rule::default() };
    let setup = Setup { seed, ..Setup::default() };
    let never = || false;
    let mut pairs = Pairs::new(side(model, 0)?, side(model, units)?, setup, &never);
    let host = Host::read();
    // The busy core changes, so that no core's own speed is mistaken for the condition.
    let busy = Busy::on((0..cores).map(|i| (n / cells + i) % host.cores.max(1)));
    std::thread::sleep(Duration::from_millis(300));
    let clock = Wall::new();
    let seen: Paired = rule.compare(&mut pairs, &mut |_| {})?;
    let seconds = clock.now().as_secs_f64();
    drop(busy);
    let runs: Vec<&Run> = std::iter::once(&seen.first).chain(&seen.second).collect();
    let finding = seen.finding(model, &rule);
    let (whole, added) = pairs.added;
    Ok(Trial {
        model: model.clone(),
        busy_cores: cores,
        injected_percent: percent,
        measured_percent: 100.0 * added / (whole - added),
        units,
        delta_percent: args.delta,
        verdict: seen.verdict,
        first: seen.first.verdict,
        rounds: runs.iter().map(|r| r.rounds.sound().count()).sum(),
        repeated: seen.repeated(),
        seconds,
        change_percent: finding.change.map(|c| c * 100.0),
        interval_percent: finding.interval.map(|i| i.map(|x| x * 100.0)),
        round_logs: runs.into_iter().map(logs).collect(),
        load_average: load::average(),
        cpu: host.cpu,
    })
}

fn read(file: &Path) -> Vec<Trial> {
    let text = fs::read_to_string(file).unwrap_or_default();
    // A last line that a stop cut short is no trial.
    text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect()
}

/// Counts by condition and injection, over all networks.
fn summary(trials: &[Trial]) -> String {
    let mut cells: BTreeMap<(usize, u64), Vec<&Trial>> = BTreeMap::new();
    for t in trials {
        cells.entry((t.busy_cores, (t.injected_percent * 100.0) as u64)).or_default().push(t);
    }
    let head =
        "busy cores  injected  measured  trials  fail  fail before confirm  undecided  pass  rounds  repeated  s/model";
    let mut out = format!("{head}\n");
    for ((cores, injected), all) in cells {
        let count = |f: &dyn Fn(&Trial) -> bool| all.iter().filter(|t| f(t)).count();
        let mean = |f: &dyn Fn(&Trial) -> f64| all.iter().map(|t| f(t)).sum::<f64>() / all.len() as f64;
        out += &format!(
            "{cores:>10}  {:>7.1} %  {:>6.2} %  {:>6}  {:>4}  {:>19}  {:>9}  {:>4}  {:>6.1}  {:>8.1}  {:>7.1}\n",
            injected as f64 / 100.0,
            mean(&|t| t.measured_percent),
            all.len(),
            count(&|t| t.verdict == Verdict::Fail),
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

fn run(args: &Args) -> Result<(), GateError> {
    let write = |source| GateError::Write { file: args.file.clone(), source };
    let mut done = read(&args.file);
    let (clock, mut known) = (Wall::new(), BTreeMap::new());
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
    worker::program(run)
}
