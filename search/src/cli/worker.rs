//! `mobilenas worker RUN`, which a search or a study starts for itself.

use std::path::PathBuf;

use anyhow::Result;
use mobilenas_coordinator::STOPPED;

use mobilenas_pipeline::config::{self, Device, Origin};
use mobilenas_pipeline::experiment::prepare_run;
use mobilenas_pipeline::pipeline::{RunError, retraining};
use mobilenas_pipeline::worker::{Kind, serve};
use mobilenas_study::StudyPlan;

/// Arguments of `worker`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of a run with a trained supernet, or of a study
    #[arg(required_unless_present = "pipe")]
    run: Option<PathBuf>,
    /// Take config and supernet from standard input, where the folder is not seen
    #[arg(long, conflicts_with_all = ["run", "trains"])]
    pipe: bool,
    /// Train networks; else score those of a run or a study
    #[arg(long)]
    trains: bool,
    /// The folder is that of a study
    #[arg(long, conflicts_with = "pipe")]
    study: bool,
    /// The process that asks, if it is on this machine
    #[arg(long)]
    parent: Option<u32>,
    /// Where it computes
    #[arg(long, default_value = "cpu")]
    device: Device,
}

/// Scores or trains what standard input asks for.
///
/// # Errors
/// When the run's folder does not hold what is needed.
pub fn run(args: &Args) -> Result<i32> {
    if let (true, Some(run)) = (args.trains, &args.run) {
        let prepare = || match args.study {
            true => Ok(StudyPlan::prepare(&run.join(config::FILE), Origin::Run)?.experiments.into_all()),
            false => Ok(prepare_run(run).map_err(RunError::from)?.into_all()),
        };
        let kind = if args.study { Kind::TrainsOfStudy } else { Kind::Trains };
        let whole = retraining::serve(run, (kind, args.device, args.parent), prepare)?;
        return Ok(if whole { 0 } else { STOPPED });
    }
    match (args.study, &args.run) {
        (true, Some(run)) => mobilenas_study::serve(run, args.device)?,
        _ => serve(args.run.as_deref(), args.device)?,
    }
    Ok(0)
}
