//! `mobilenas bench WHAT`: networks on this machine, the regression check, and this program's own speed, for anyone to repeat.

mod accuracy;
mod bless;
mod check;
mod check_device;
mod data;
mod history;
mod regression;
mod run;
mod score;
mod search;
mod train;

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use mobilenas_bench::Host;
use mobilenas_host::{Clock, WallClock};
use mobilenas_space::{CostCache, Space};
use rayon::prelude::*;

use mobilenas_host::outln;
use mobilenas_pipeline::config;
use mobilenas_space::seed::{Purpose, rng};

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Sampling genomes, lowering them and counting params and MACs: candidates per second
    Space(SpaceArgs),
    /// Strategies: candidates per second and hypervolume on an analytic problem; with a config, a search step on its space
    Search(search::Args),
    /// Images from files to batches: images per second
    Data(data::Args),
    /// Scoring one subnet: seconds to bind, recalibrate and evaluate it
    Score(score::Args),
    /// Training steps: images per second of networks, or a sandwich step against its networks one at a time
    Train(train::Args),
    /// Networks on engines: time, throughput, memory and cold start, in a table and in files
    Run(run::Args),
    /// Networks and their times against a baseline, for CI
    Check(check::Args),
    /// Write what is so now as the baseline, and say what that changes
    Bless(bless::Args),
    /// Append a check to a history, and draw each metric over commits
    History(history::Args),
    /// Answer timed calls over pipes; `run` and `check` start it
    #[command(hide = true)]
    Worker(mobilenas_bench::process::Args),
}

#[derive(Debug, clap::Args)]
struct SpaceArgs {
    /// A config whose space is used
    config: PathBuf,
    /// Name of one of its spaces, where it has several
    #[arg(long, value_name = "NAME")]
    space: Option<String>,
    /// Candidates to count
    #[arg(long, default_value_t = 1_000_000)]
    candidates: u64,
    /// Threads [default: all cores]
    #[arg(long)]
    threads: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs a benchmark.
///
/// # Errors
/// When the config is wrong.
pub fn run(args: &Args) -> Result<i32> {
    match &args.what {
        What::Space(args) => space(args),
        What::Search(args) => search::run(args),
        What::Data(args) => data::run(args),
        What::Score(args) => score::run(args),
        What::Train(args) => train::run(args),
        What::Run(args) => run::run(args),
        What::Check(args) => check::run(args),
        What::Bless(args) => bless::run(args),
        What::History(args) => history::run(args),
        What::Worker(args) => mobilenas_bench::process::serve(args).map(|()| 0).map_err(regression::input),
    }
}

fn space(args: &SpaceArgs) -> Result<i32> {
    let loaded = config::load(&args.config)?;
    let space = loaded.space(&loaded.entry(args.space.as_deref())?, 10)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads.unwrap_or(0)).build()?;
    let clock = WallClock::new();
    let begin = clock.now();
    let sum = pool.install(|| count(&space, args.candidates, loaded.config.seed));
    let seconds = (clock.now() - begin).as_secs_f64();
    let sum = sum.map_err(|e| anyhow!(e))?;
    let rate = args.candidates as f64 / seconds;
    let threads = pool.current_num_threads();
    if args.json {
        let out = serde_json::json!({
            "bench": "space", "config": args.config, "candidates": args.candidates, "threads": threads,
            "seconds": seconds, "candidates_per_second": rate, "sum_of_params": sum.params, "sum_of_macs": sum.macs,
            "host": Host::read(),
        });
        outln!("{out}")?;
    } else {
        outln!("{rate:.0} candidates per second on {threads} threads ({} in {seconds:.2} s)", args.candidates)?;
    }
    Ok(0)
}

/// Costs of random genomes, each lowered to blocks and counted; summed, so that none can be left out.
fn count(space: &Space, n: u64, seed: u64) -> Result<mobilenas_space::Cost, mobilenas_space::ir::ShapeError> {
    const SHARE: u64 = 10_000;
    (0..n.div_ceil(SHARE))
        .into_par_iter()
        .map_init(CostCache::new, |coster, share| {
            let mut rng = rng(seed, Purpose::Ask, share, 1);
            let own = SHARE.min(n - share * SHARE);
            (0..own).map(|_| space.cost(&space.sample(&mut rng), coster)).sum()
        })
        .reduce(|| Ok(mobilenas_space::Cost::default()), |a, b| Ok(a? + b?))
}
