//! `mobilenas train CONFIG`

use std::path::PathBuf;

use anyhow::Result;
use mobilenas_bench::Wall;

use crate::progress::Progress;
use crate::run::alone::{Alone, Finish};
use crate::stop::Stop;

/// Arguments of `train`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The training to run
    config: PathBuf,
    /// Folder of the training [default: runs/NAME]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Go on with the training in that folder, if there is one
    #[arg(long)]
    resume: bool,
}

/// Trains one network.
///
/// # Errors
/// When the input is wrong or the training fails.
pub fn run(args: &Args) -> Result<i32> {
    let alone = Alone::prepare(&args.config)?;
    let root = args.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(alone.config.name()));
    let (clock, stop) = (Wall::new(), Stop::on_signals()?);
    eprintln!("{}", alone.summary());
    match alone.run(&root, args.resume, &clock, &stop, &Progress::new("train"))? {
        Finish::Stopped => {
            eprintln!("stopped; the same command with --resume goes on");
            Ok(stop.exit_code())
        }
        Finish::Done(result) => {
            println!("{result}");
            println!("weights: {}", root.join("weights.safetensors").display());
            Ok(0)
        }
    }
}
