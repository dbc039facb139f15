//! `mobilenas completions SHELL`

use anyhow::Result;
use clap::CommandFactory as _;
use clap_complete::Shell;
use mobilenas_host::out;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Prints a completion script.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(args: &Args) -> Result<i32> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Args::command(), "mobilenas", &mut script);
    out!("{}", String::from_utf8_lossy(&script))?;
    Ok(0)
}
