//! libtorch: which copy is used, and the check that it is of the right version.

mod check;
mod existing;
mod fetch;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Result, bail};

use crate::target::TargetDir;

pub use check::VERSION;

/// Where libtorch comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// A copy of our own under the target folder.
    Fetch,
    /// The one that LIBTORCH points to.
    Env,
    /// The one in the Python package torch.
    Python,
}

impl FromStr for Choice {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" | "fetch" => Ok(Self::Fetch),
            "env" => Ok(Self::Env),
            "python" => Ok(Self::Python),
            _ => bail!("libtorch cannot come from `{text}`; expected auto, fetch, env or python"),
        }
    }
}

/// The libtorch folder (with lib/ and include/); fetches it where that is the choice and it is not there yet.
pub fn locate(target: &TargetDir, choice: Choice) -> Result<PathBuf> {
    match choice {
        Choice::Env => existing::from_env(),
        Choice::Python => existing::from_python(),
        Choice::Fetch => {
            let libtorch = fetch::locate(target)?;
            if let Some(other) = std::env::var_os("LIBTORCH").filter(|other| *other != *libtorch.as_os_str()) {
                let other = Path::new(&other).display();
                eprintln!("note: LIBTORCH={other} is not used; `--torch env` uses it");
            }
            Ok(libtorch)
        }
    }
}
