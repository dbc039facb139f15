//! A libtorch that is already there: the one of LIBTORCH, or the one in the Python package torch.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::check::{VERSION, advice, check};
use crate::pip::interpreters;

/// Prints the folder of the package torch without importing it, which would take seconds.
const FIND: &str = "import importlib.util as u; s = u.find_spec('torch'); \
                    print(next(iter(s.submodule_search_locations), '') if s else '')";

/// The libtorch that LIBTORCH points to.
pub fn from_env() -> Result<PathBuf> {
    let Some(value) = std::env::var_os("LIBTORCH").filter(|value| !value.is_empty()) else {
        bail!("`--torch env` takes libtorch from the variable LIBTORCH, which is not set.\n{}", advice());
    };
    let value = PathBuf::from(value);
    let libtorch =
        std::path::absolute(&value).with_context(|| format!("LIBTORCH={} is not a path", value.display()))?;
    check(&libtorch, "LIBTORCH")?;
    Ok(libtorch)
}

/// The libtorch in the Python package torch, of the first interpreter that has it.
pub fn from_python() -> Result<PathBuf> {
    let mut tried = Vec::new();
    for python in interpreters() {
        match Command::new(python).args(["-c", FIND]).output() {
            Err(error) => tried.push(format!("{python}: {error}")),
            Ok(output) if !output.status.success() => {
                tried.push(format!("{python}: {}", String::from_utf8_lossy(&output.stderr).trim()));
            }
            Ok(output) => {
                let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                if !folder.is_empty() {
                    let libtorch = PathBuf::from(folder);
                    check(&libtorch, &format!("the package torch of {python}"))?;
                    return Ok(libtorch);
                }
                tried.push(format!("{python}: has no package torch"));
            }
        }
    }
    bail!("`--torch python` finds no Python package torch {VERSION}:\n  {}\n{}", tried.join("\n  "), advice())
}
