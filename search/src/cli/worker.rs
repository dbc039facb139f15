//! `mobilenas worker RUN`, which a search or a study starts for itself.

use std::path::PathBuf;

use anyhow::Result;

use mobilenas_pipeline::config::Device;
use mobilenas_pipeline::study::training;
use mobilenas_pipeline::worker::serve;

/// Exit code of one that was asked to stop in the middle of its work.
const STOPPED: i32 = 143;

/// Arguments of `worker`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of a run with a trained supernet, or of a study
    run: PathBuf,
    /// Train networks of a study; else score candidates of a run
    #[arg(long)]
    trains: bool,
    /// Where it computes
    #[arg(long, default_value = "cpu")]
    device: Device,
}

/// Scores or trains what standard input asks for.
///
/// # Errors
/// When the run's folder does not hold what is needed.
pub fn run(args: &Args) -> Result<i32> {
    if args.trains {
        return Ok(if training::serve(&args.run, args.device)? { 0 } else { STOPPED });
    }
    serve(&args.run, args.device)?;
    Ok(0)
}
