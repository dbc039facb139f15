//! ONNX Runtime, which the program loads when a network is to run on it, and the Python package onnx, whose checker the
//! tests ask: both installed by pip into target/onnx-VERSION, which is renamed into place when all is there; its stamp
//! says what it holds.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::install::make_executable;
use crate::places::{Partial, Places};
use crate::torch::fetch::python_with_pip;

/// The version of ONNX Runtime; the crate ort takes this one and every later one.
pub const VERSION: &str = "1.32.0";
/// The version of the package onnx.
const CHECKER: &str = "1.23.2";
/// The variable that the program reads.
pub const LIBRARY: &str = "ORT_DYLIB_PATH";
/// The variable that the tests read: a Python that has onnx.
pub const PYTHON: &str = "MOBILENAS_ONNX_PYTHON";
/// The stamp's name.
const STAMP: &str = "complete.txt";
/// Raised when what is kept of the packages changes, so that older copies are replaced.
const LAYOUT: u32 = 1;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Onnx {
    /// ONNX Runtime's library.
    pub library: PathBuf,
    /// A program that is a Python with the package onnx.
    pub python: PathBuf,
}

impl Onnx {
    fn at(place: &Path) -> Onnx {
        let library = place.join(format!("packages/onnxruntime/capi/libonnxruntime.so.{VERSION}"));
        Onnx { library, python: place.join("python") }
    }
}

/// Our copy; it is fetched when it is not there. A library that the user names is taken instead of ours.
pub fn locate(places: &Places) -> Result<Onnx> {
    let place = places.target.join(format!("onnx-{VERSION}"));
    if !finished(&place) {
        fetch(&place).with_context(|| format!("ONNX Runtime {VERSION} could not be fetched to {}", place.display()))?;
    }
    let mut onnx = Onnx::at(&place);
    if let Some(named) = std::env::var_os(LIBRARY).filter(|named| !named.is_empty()) {
        onnx.library = PathBuf::from(named);
        if !onnx.library.is_file() {
            bail!("{LIBRARY}={} is no file, expected ONNX Runtime's library", onnx.library.display());
        }
    }
    Ok(onnx)
}

/// The stamp's first line.
fn headline() -> String {
    format!("onnxruntime {VERSION}, onnx {CHECKER}, layout {LAYOUT}")
}

/// Whether a copy is complete; quick.
fn finished(place: &Path) -> bool {
    let stamp = fs::read_to_string(place.join(STAMP)).unwrap_or_default();
    let onnx = Onnx::at(place);
    let there = onnx.library.is_file() && onnx.python.is_file() && place.join("packages/onnx/checker.py").is_file();
    stamp.lines().next() == Some(&headline()) && there
}

/// Installs, checks, and moves into place.
fn fetch(place: &Path) -> Result<()> {
    let python = python_with_pip()?;
    let partial = Partial::begin(place)?;
    eprintln!("fetching ONNX Runtime {VERSION} with {python} -m pip: 80 MB once, kept in {}", place.display());
    let packages = partial.tree().join("packages");
    // The library alone: what the Python package needs beside it is of no use here.
    install(python, &partial.scratch(), &packages, &["--no-deps", &format!("onnxruntime=={VERSION}")])?;
    install(python, &partial.scratch(), &packages, &[&format!("onnx=={CHECKER}")])?;
    let program = partial.tree().join("python");
    write(&program, &wrapper(python, &place.join("packages"))?)?;
    make_executable(&program)?;
    write(&partial.tree().join(STAMP), &(headline() + "\n"))?;
    if !finished(&partial.tree()) {
        bail!("the packages are not laid out as expected: no {}", Onnx::at(Path::new("")).library.display());
    }
    partial.finish(finished)?;
    eprintln!("ONNX Runtime {VERSION} is in {}", place.display());
    Ok(())
}

/// Installs packages into a folder of their own; pip's temporary files go to `scratch`.
fn install(python: &str, scratch: &Path, packages: &Path, what: &[&str]) -> Result<()> {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-compile", "--only-binary=:all:"]);
    command.arg("--target").arg(packages).args(what);
    command.env("TMPDIR", scratch).stdin(Stdio::null()).stdout(io::stderr());
    let status = command.status().with_context(|| format!("{python} does not start"))?;
    if !status.success() {
        let (what, folder) = (what.last().unwrap_or(&""), scratch.display());
        bail!(
            "pip could not install {what} ({status}); its reason is above: no network, no package of that version for \
             this Python or machine, or no space in {folder}"
        );
    }
    Ok(())
}

/// The text of a program that is `python` with the packages.
fn wrapper(python: &str, packages: &Path) -> Result<String> {
    let Some(packages) = packages.to_str().filter(|text| !text.contains('\'')) else {
        bail!("{} cannot stand in a shell script, expected a path without quotes", packages.display());
    };
    Ok(format!("#!/bin/sh\nPYTHONPATH='{packages}' exec {python} \"$@\"\n"))
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_stamped_copy_with_library_and_checker_is_finished() -> Result<()> {
        let place = std::env::temp_dir().join(format!("xtask-test-onnx-{}", std::process::id()));
        let onnx = Onnx::at(&place);
        let checker = place.join("packages/onnx/checker.py");
        for file in [&onnx.library, &onnx.python, &checker] {
            fs::create_dir_all(file.parent().unwrap_or(&place))?;
            assert!(!finished(&place));
            write(file, "x")?;
        }
        assert!(!finished(&place));
        write(&place.join(STAMP), "onnxruntime 1.0.0, onnx 1.0.0, layout 1\n")?;
        assert!(!finished(&place));
        write(&place.join(STAMP), &(headline() + "\n"))?;
        assert!(finished(&place));
        fs::remove_file(&onnx.library)?;
        assert!(!finished(&place));
        Ok(fs::remove_dir_all(&place)?)
    }

    #[test]
    fn the_wrapper_is_a_shell_script() -> Result<()> {
        let text = wrapper("python3", Path::new("/a b/packages"))?;
        assert_eq!(text, "#!/bin/sh\nPYTHONPATH='/a b/packages' exec python3 \"$@\"\n");
        assert!(wrapper("python3", Path::new("/it's")).is_err());
        Ok(())
    }
}
