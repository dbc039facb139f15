//! The converters to the runtimes of phones, and the runtimes to compare with: Python packages that pip installs into
//! target/phones-LAYOUT, gigabytes with PyTorch, and therefore only on request.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::pip::{pip, python_with_pip, stamp, stamped, wrapper, write};
use crate::target::{Staging, TargetDir, make_executable};

/// The variable that the program reads: a Python that has the converters.
pub const PYTHON: &str = "MOBILENAS_PHONES_PYTHON";
/// The packages that are called by name; the file has the versions of these and of all that they need.
const PACKAGES: [&str; 7] =
    ["ai-edge-litert", "coremltools", "executorch", "litert-torch", "numpy", "safetensors", "torch"];
const VERSIONS: &str = include_str!("phones.txt");
/// There is no wheel of it.
const FROM_SOURCE: &str = "--no-binary=antlr4-python3-runtime";
/// Raised when what is kept changes otherwise.
const LAYOUT: u32 = 1;

/// The Python with the converters that is there: the one that the user names, or ours.
pub fn existing(target: &TargetDir) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(PYTHON).filter(|named| !named.is_empty()) {
        return Some(PathBuf::from(named));
    }
    let place = place(target);
    finished(&place).then(|| program(&place))
}

/// Our copy; it is fetched when it is not there.
pub fn locate(target: &TargetDir) -> Result<PathBuf> {
    let place = place(target);
    if !finished(&place) {
        fetch(&place).with_context(|| format!("the converters could not be fetched to {}", place.display()))?;
    }
    Ok(program(&place))
}

fn place(target: &TargetDir) -> PathBuf {
    target.path.join("phones")
}

fn program(place: &Path) -> PathBuf {
    place.join("python")
}

/// The stamp's first line.
fn headline() -> String {
    let pinned = VERSIONS.lines().filter(|line| line.split("==").next().is_some_and(|name| PACKAGES.contains(&name)));
    format!("{}, layout {LAYOUT}", pinned.collect::<Vec<_>>().join(", "))
}

fn finished(place: &Path) -> bool {
    stamped(place, &headline(), &[&program(place), Path::new("packages/torch/version.py")])
}

/// Installs, and moves into place.
fn fetch(place: &Path) -> Result<()> {
    let python = python_with_pip()?;
    let staging = Staging::begin(place)?;
    eprintln!(
        "fetching the converters to Core ML, ExecuTorch and LiteRT with {python} -m pip: gigabytes once, kept in {}",
        place.display()
    );
    let packages = staging.tree().join("packages");
    let folder = packages.to_str().with_context(|| format!("{} is not UTF-8", packages.display()))?;
    let versions = staging.scratch().join("versions.txt");
    write(&versions, VERSIONS)?;
    let versions = versions.to_str().with_context(|| format!("{} is not UTF-8", versions.display()))?;
    let args = ["--no-compile", FROM_SOURCE, "--constraint", versions, "--target", folder];
    pip(python, "install", &staging.scratch(), &args, &PACKAGES)?;
    let program = program(&staging.tree());
    write(&program, &wrapper(python, &place.join("packages"))?)?;
    make_executable(&program)?;
    stamp(&staging.tree(), &headline(), "")?;
    if !finished(&staging.tree()) {
        bail!("the packages are not laid out as expected: no packages/torch/version.py");
    }
    staging.finish(finished)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_has_a_version() {
        for package in PACKAGES {
            let pinned = VERSIONS.lines().filter_map(|line| line.strip_prefix(package)?.strip_prefix("=="));
            assert_eq!(pinned.count(), 1, "{package}");
            assert!(headline().contains(&format!("{package}==")), "{package}");
        }
        assert!(VERSIONS.contains(&format!("\ntorch=={}\n", crate::torch::VERSION)));
    }
}
