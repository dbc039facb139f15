//! `mobilenas worker RUN`, which a search starts for itself.

use std::path::PathBuf;

use anyhow::Result;

use crate::config::Device;
use crate::worker::serve;

/// Arguments of `worker`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of a run with a trained supernet
    run: PathBuf,
    /// Where it scores
    #[arg(long, value_enum, default_value_t = Device::Cpu)]
    device: Device,
}

/// Scores what standard input asks for.
///
/// # Errors
/// When the run's folder does not hold what is needed.
pub fn run(args: &Args) -> Result<i32> {
    serve(&args.run, args.device)?;
    Ok(0)
}
