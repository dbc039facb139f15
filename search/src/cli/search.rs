//! `mobilenas search CONFIG`

use std::path::PathBuf;

use anyhow::Result;
use mobilenas_bench::Wall;

use crate::latency_table::Table;
use crate::prepare::prepare;
use crate::progress::Progress;
use crate::run::{Finish, Folder, Run, RunError};
use crate::stop::Stop;

/// Arguments of `search`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The search to run
    config: PathBuf,
    /// Folder of the run [default: runs/NAME]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Go on with the run in that folder, if there is one
    #[arg(long)]
    resume: bool,
}

/// Runs a search.
///
/// # Errors
/// When the input is wrong or the run fails.
pub fn run(args: &Args) -> Result<i32> {
    let prepared = prepare(&args.config).map_err(RunError::from)?;
    let root = args.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(prepared.config.name()));
    let (clock, stop) = (Wall::new(), Stop::on_signals()?);
    tch::set_num_threads(prepared.config.threads as i32);
    prepared.check_latency(&clock).map_err(RunError::from)?;
    if let Some(warning) = prepared.table.as_ref().and_then(Table::warning) {
        eprintln!("warning: {warning}");
    }
    let folder = Folder::open(&root, &prepared.config, args.resume)?;
    let estimate = prepared.estimate(&clock).map_err(RunError::from)?;
    eprintln!("{}", prepared.summary(Some(estimate)));
    let run = Run { prepared: &prepared, folder, clock: &clock, stop: &stop, progress: Progress::new };
    match run.go()? {
        Finish::Stopped => {
            eprintln!("stopped; the same command with --resume goes on");
            Ok(stop.exit_code())
        }
        Finish::Done(frame, page) => {
            println!("the five best of the front:");
            for best in mobilenas_reports::five_best(&frame) {
                println!("{best}");
            }
            println!("report: {}", page.display());
            Ok(0)
        }
    }
}
