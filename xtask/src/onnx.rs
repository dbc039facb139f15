//! ONNX Runtime, which the program loads when a network is to run on it, and the Python package onnx, whose checker the
//! tests ask: both installed by pip into target/onnx-VERSION.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::pip::{pip, python_with_pip, stamp, stamped, wrapper, write};
use crate::target::{Staging, TargetDir, make_executable};

/// The version of ONNX Runtime; the crate ort takes this one and every later one.
pub const VERSION: &str = "1.32.0";
/// The version of the package onnx.
const CHECKER: &str = "1.23.2";
/// The variable that the program reads.
pub const LIBRARY: &str = "ORT_DYLIB_PATH";
/// The variable that the tests read: a Python that has onnx.
pub const PYTHON: &str = "MOBILENAS_ONNX_PYTHON";
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
pub fn locate(target: &TargetDir) -> Result<Onnx> {
    let place = target.path.join(format!("onnx-{VERSION}"));
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

fn finished(place: &Path) -> bool {
    let Onnx { library, python } = Onnx::at(place);
    stamped(place, &headline(), &[&library, &python, Path::new("packages/onnx/checker.py")])
}

/// Installs, checks, and moves into place.
fn fetch(place: &Path) -> Result<()> {
    let python = python_with_pip()?;
    let staging = Staging::begin(place)?;
    eprintln!("fetching ONNX Runtime {VERSION} with {python} -m pip: 80 MB once, kept in {}", place.display());
    let packages = staging.tree().join("packages");
    let folder = packages.to_str().with_context(|| format!("{} is not UTF-8", packages.display()))?;
    let install = |more: &[&str], package: String| {
        let args = [&["--no-compile", "--target", folder], more].concat();
        pip(python, "install", &staging.scratch(), &args, &[&package])
    };
    // The library alone: what the Python package needs beside it is of no use here.
    install(&["--no-deps"], format!("onnxruntime=={VERSION}"))?;
    install(&[], format!("onnx=={CHECKER}"))?;
    let program = staging.tree().join("python");
    write(&program, &wrapper(python, &place.join("packages"))?)?;
    make_executable(&program)?;
    stamp(&staging.tree(), &headline(), "")?;
    if !finished(&staging.tree()) {
        bail!("the packages are not laid out as expected: no {}", Onnx::at(Path::new("")).library.display());
    }
    staging.finish(finished)?;
    eprintln!("ONNX Runtime {VERSION} is in {}", place.display());
    Ok(())
}
