//! `mobilenas man`, hidden: the manual pages that `cargo xtask install` installs.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Command;

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder for `mobilenas.1` and a page for each command
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Writes the pages of the whole command line.
///
/// # Errors
/// When one cannot be written.
pub fn run(args: &Args, command: Command) -> Result<i32> {
    std::fs::create_dir_all(&args.out)
        .and_then(|()| clap_mangen::generate_to(command, &args.out))
        .with_context(|| format!("cannot write manual pages to {}", args.out.display()))?;
    Ok(0)
}
