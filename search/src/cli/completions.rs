//! `mobilenas completions SHELL`

use anyhow::Result;
use clap::Command;
use clap_complete::Shell;
use mobilenas_host::out;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Prints a completion script of the whole command line.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(args: &Args, command: &mut Command) -> Result<i32> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "mobilenas", &mut script);
    out!("{}", String::from_utf8_lossy(&script))?;
    Ok(0)
}
