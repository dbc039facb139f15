//! What `search`, `study` and `train` have in common: a config, a folder, and that they can be stopped and resumed.

use std::path::{Path, PathBuf};

use mobilenas_host::Stop;
use mobilenas_host::errln;

/// Arguments of a verb that works for long.
#[derive(Debug, clap::Args)]
pub struct Job {
    /// The config
    pub config: PathBuf,
    /// Folder for what it makes [default: runs/NAME; a study's: studies/NAME]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Go on with what is in that folder, if there is something
    #[arg(long)]
    pub resume: bool,
}

impl Job {
    /// The folder that was asked for, or the one of that name under `home`.
    pub fn folder(&self, home: &str, name: &str) -> PathBuf {
        self.out.clone().unwrap_or_else(|| Path::new(home).join(name))
    }
}

/// Says that it was stopped; gives the exit code.
pub fn stopped(stop: &Stop) -> i32 {
    errln!("stopped; the same command with --resume goes on");
    stop.exit_code()
}
