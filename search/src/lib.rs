//! The program: its command line.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod cli;
mod exit;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser as _;
use mobilenas_host::{OutputError, errln};
use mobilenas_torch::device;

/// Runs the program with these words, the first of which is its name, and ends the process.
pub fn main(words: Vec<OsString>) -> ! {
    let args = cli::Args::try_parse_from(&words).unwrap_or_else(|e| {
        // Where neither can be written to, nobody reads it.
        let _ = e.print();
        exit::now(e.exit_code())
    });
    // With the libtorch that the variable names, if it does.
    let libraries = libraries().map(|folders| ("LD_LIBRARY_PATH", folders));
    mobilenas_host::runtime_env::apply(words.get(1..).unwrap_or_default(), libraries);
    let code = match cli::run(args) {
        Ok(code) => code,
        // Its reader has seen enough.
        Err(e) if matches!(e.downcast_ref(), Some(OutputError::Closed)) => 0,
        Err(e) => {
            errln!("error: {}", cli::message(&e));
            cli::exit_code(&e)
        }
    };
    exit::now(code)
}

/// Where the loader has to look for libraries so that it finds the libtorch of [`device::VARIABLE`] first; none if it does.
fn libraries() -> Option<OsString> {
    let own = PathBuf::from(std::env::var_os(device::VARIABLE)?).join("lib");
    let others = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let others: Vec<PathBuf> = std::env::split_paths(&others).filter(|f| !f.as_os_str().is_empty()).collect();
    if others.first() == Some(&own) {
        return None;
    }
    std::env::join_paths(std::iter::once(own).chain(others)).ok()
}
