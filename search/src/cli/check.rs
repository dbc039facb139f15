//! `mobilenas check CONFIG`

use std::path::PathBuf;

use anyhow::Result;
use mobilenas_bench::Wall;

use crate::latency_table::Table;
use crate::prepare::prepare;
use crate::run::RunError;

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
    let prepared = prepare(&args.config).map_err(RunError::from)?;
    tch::set_num_threads(prepared.config.threads as i32);
    prepared.check_latency(&Wall::new()).map_err(RunError::from)?;
    let estimate = prepared.estimate(&Wall::new()).map_err(RunError::from)?;
    if let Some(warning) = prepared.table.as_ref().and_then(Table::warning) {
        eprintln!("warning: {warning}");
    }
    println!("{}", prepared.summary(Some(estimate)));
    Ok(0)
}
