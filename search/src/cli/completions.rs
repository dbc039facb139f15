//! `mobilenas completions SHELL`

use anyhow::Result;
use clap::CommandFactory as _;
use clap_complete::Shell;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Prints a completion script.
///
/// # Errors
/// Never.
pub fn run(args: &Args) -> Result<i32> {
    clap_complete::generate(args.shell, &mut super::Args::command(), "mobilenas", &mut std::io::stdout());
    Ok(0)
}
