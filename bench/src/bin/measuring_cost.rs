//! What the measuring of `mobilenas bench run` adds to the time of what it measures.
//!
//! In fresh processes, in rounds of random order: so many calls with the clock read before the first and after the last only,
//! and as many by the protocol, windows, pipe, watching of the machine and all. The ratio of the two is the cost; beside it
//! what the protocol itself finds, the share of its time that lies between the samples.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use mobilenas_bench::case::process::{Eyes, sample, warm_up};
use mobilenas_bench::case::rule::{Across, Enough, Rules};
use mobilenas_bench::gate::pairs::{Side, Worker};
use mobilenas_bench::gate::{GateError, worker};
use mobilenas_bench::stats::median;
use mobilenas_host::load::Load;
use mobilenas_host::{WallClock, load};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};

/// What measuring costs.
#[derive(Debug, Parser)]
struct Args {
    /// Published networks
    #[arg(long, value_delimiter = ',', default_value = "mobilenetv3_small_100,mobilevit_xxs")]
    models: Vec<String>,
    /// Engines
    #[arg(long, value_delimiter = ',', default_value = "libtorch-plain,onnxruntime")]
    engines: Vec<String>,
    /// Fresh processes of each
    #[arg(long, default_value_t = 4)]
    processes: usize,
    /// Rounds in each process
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Windows of calls in a round, of either kind
    #[arg(long, default_value_t = 3)]
    windows: usize,
}

/// What one process showed.
#[derive(Default)]
struct Shown {
    /// Logarithm of measured over bare time, by round.
    logs: Vec<f64>,
    /// Milliseconds of a bare call, by round.
    bare_ms: Vec<f64>,
    /// WallClock milliseconds of the protocol.
    wall_ms: f64,
    /// Of these, inside samples.
    sampled_ms: f64,
}

fn program() -> Result<PathBuf, GateError> {
    let refuse = |e: std::io::Error| GateError::Worker { program: "measuring_cost".into(), message: e.to_string() };
    std::env::current_exe().map_err(refuse)
}

fn process(side: &Side, args: &Args, rng: &mut ChaCha8Rng) -> Result<Shown, GateError> {
    let (cores, _) = load::idlest_cores(std::time::Duration::from_millis(200), 1);
    let mut worker = Worker::start(&Side { cores, ..side.clone() })?;
    worker.ready()?;
    let (rules, clock, mut shown) = (Rules::default(), WallClock::new(), Shown::default());
    let eyes = Eyes { clock: &clock, load: &Load::read, mhz: &|| load::frequency_mhz(0), stop: &|| false };
    let first = worker.ask("call")?.ms;
    let warmed = warm_up(&rules, &eyes, first, &mut |n| worker.ask_for(&format!("window {n}")))?;
    let call = warmed.medians.last().copied().unwrap_or(first);
    let calls = rules.calls(call) * args.windows.max(1);
    // No interval is that narrow: the samples' number ends it.
    let enough = Enough { width: 0.0, min_samples: calls, max_samples: calls, max_seconds: f64::INFINITY };
    let rules = Rules { enough, ..rules };
    for _ in 0..args.rounds {
        let (mut bare, mut measured) = (f64::NAN, f64::NAN);
        let first = usize::from(rng.random_bool(0.5));
        for kind in [first, 1 - first] {
            if kind == 0 {
                bare = worker.ask(&format!("bare {calls}"))?.ms / calls as f64;
                continue;
            }
            let s = sample(&rules, &eyes, call, &mut |n| worker.ask_for(&format!("window {n}")))?;
            measured = s.seconds * 1e3 / s.ms.len() as f64;
            shown.wall_ms += s.seconds * 1e3;
            shown.sampled_ms += s.ms.iter().sum::<f64>();
        }
        shown.logs.push((measured / bare).ln());
        shown.bare_ms.push(bare);
    }
    Ok(shown)
}

fn run(args: &Args) -> Result<(), GateError> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    println!(
        "{:<24} {:<16} {:>8} {:>7} {:>22} {:>16}",
        "model", "engine", "ms", "rounds", "cost (95 %)", "between samples"
    );
    for model in &args.models {
        for engine in &args.engines {
            let side = Side::new(program()?, &["worker"], model, engine);
            let mut all = Vec::with_capacity(args.processes);
            for _ in 0..args.processes.max(1) {
                all.push(process(&side, args, &mut rng)?);
            }
            let logs: Vec<Vec<f64>> = all.iter().map(|s| s.logs.clone()).collect();
            let percent = |log: f64| 100.0 * log.exp_m1();
            let Some(i) = Across::interval(&logs, 1) else { continue };
            let bare = median(&all.iter().flat_map(|s| s.bare_ms.clone()).collect::<Vec<_>>()).unwrap_or(f64::NAN);
            let sum = |of: fn(&Shown) -> f64| all.iter().map(of).sum::<f64>();
            println!(
                "{model:<24} {engine:<16} {bare:>8.3} {:>7} {:>+6.2} % ({:>+5.2} to {:>+5.2}) {:>14.3} %",
                logs.iter().map(Vec::len).sum::<usize>(),
                percent(i.middle),
                percent(i.low),
                percent(i.high),
                100.0 * (sum(|s| s.wall_ms) / sum(|s| s.sampled_ms) - 1.0)
            );
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    worker::program(run)
}
