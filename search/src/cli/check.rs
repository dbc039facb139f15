//! `mobilenas check CONFIG`

use std::path::PathBuf;

use anyhow::Result;
use mobilenas_host::WallClock;

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
    let (experiments, clock) = (prepare(&args.config).map_err(RunError::from)?, WallClock::new());
    let warnings = experiments.warnings().map_err(RunError::from)?;
    outln!("{}", experiments.summary())?;
    for warning in warnings {
        errln!("warning: {warning}");
    }
    tch::set_num_threads(experiments.config.threads as i32);
    experiments.check_latency(&clock).map_err(RunError::from)?;
    outln!("{}", experiments.estimate_in_words(&clock, estimate::BUDGET).map_err(RunError::from)?)?;
    Ok(0)
}
