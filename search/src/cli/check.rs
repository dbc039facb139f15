//! `mobilenas check CONFIG`

use std::path::PathBuf;

use anyhow::Result;
use mobilenas_host::WallClock;

use crate::experiment::prepare;
use crate::pipeline::RunError;
use mobilenas_bench::latency_table::Table;
use mobilenas_host::{errln, outln};

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The config to check
    config: PathBuf,
}

/// Checks a config.
///
/// # Errors
/// Its mistakes.
pub fn run(args: &Args) -> Result<i32> {
    let experiment = prepare(&args.config).map_err(RunError::from)?;
    tch::set_num_threads(experiment.config.threads as i32);
    experiment.check_latency(&WallClock::new()).map_err(RunError::from)?;
    let estimate = experiment.estimate(&WallClock::new()).map_err(RunError::from)?;
    if let Some(warning) = experiment.table.as_ref().and_then(Table::warning) {
        errln!("warning: {warning}");
    }
    outln!("{}", experiment.summary(Some(estimate)))?;
    Ok(0)
}
