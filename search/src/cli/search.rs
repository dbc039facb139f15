//! `mobilenas search CONFIG`

use anyhow::Result;
use mobilenas_bench::Wall;

use super::job::{Job, stopped};
use crate::latency_table::Table;
use crate::prepare::prepare;
use crate::progress::Progress;
use crate::run::{Finish, Folder, Run, RunError};
use crate::stop::Stop;

/// Runs a search.
///
/// # Errors
/// When the input is wrong or the run fails.
pub fn run(job: &Job) -> Result<i32> {
    let prepared = prepare(&job.config).map_err(RunError::from)?;
    let root = job.folder("runs", prepared.config.name());
    let (clock, stop) = (Wall::new(), Stop::on_signals()?);
    tch::set_num_threads(prepared.config.threads as i32);
    prepared.check_latency(&clock).map_err(RunError::from)?;
    if let Some(warning) = prepared.table.as_ref().and_then(Table::warning) {
        eprintln!("warning: {warning}");
    }
    let folder = Folder::open(&root, &prepared.config, job.resume)?;
    let estimate = prepared.estimate(&clock).map_err(RunError::from)?;
    eprintln!("{}", prepared.summary(Some(estimate)));
    let run = Run { prepared: &prepared, folder, clock: &clock, stop: &stop, progress: Progress::new };
    match run.go()? {
        Finish::Stopped => Ok(stopped(&stop)),
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
