//! `mobilenas check CONFIG`

use std::path::PathBuf;

use anyhow::Result;
use mobilenas_host::WallClock;

use mobilenas_bench::latency_table::Table;
use mobilenas_host::{errln, outln};
use mobilenas_pipeline::experiment::{estimate, prepare};
use mobilenas_pipeline::pipeline::RunError;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The config to check
    config: PathBuf,
}

/// Checks a config: mistakes, the space and its range at once, then what has to be timed.
///
/// # Errors
/// Its mistakes.
pub fn run(args: &Args) -> Result<i32> {
    let (experiment, clock) = (prepare(&args.config).map_err(RunError::from)?, WallClock::new());
    let warnings = experiment.check_threads().map_err(RunError::from)?;
    outln!("{}", experiment.summary())?;
    for warning in warnings.into_iter().chain(experiment.table.as_ref().and_then(Table::warning)) {
        errln!("warning: {warning}");
    }
    tch::set_num_threads(experiment.config.threads as i32);
    experiment.check_latency(&clock).map_err(RunError::from)?;
    let estimate = experiment.estimate(&clock, estimate::BUDGET).map_err(RunError::from)?;
    outln!("{}", experiment.estimate_in_words(estimate))?;
    Ok(0)
}
