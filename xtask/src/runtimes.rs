//! Runtimes that the program loads when a network is to run on them, each a library in a Python package that pip installs
//! into target/NAME-VERSION.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::pip::{pip, python_with_pip, stamp, stamped};
use crate::target::{Staging, TargetDir};

/// A runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Runtime {
    /// What people call it.
    pub title: &'static str,
    /// The name of the engine in the program.
    pub engine: &'static str,
    /// The Python package.
    package: &'static str,
    version: &'static str,
    /// The library in it.
    library: &'static str,
    /// The variable that the program reads.
    pub variable: &'static str,
    /// Megabytes to download.
    megabytes: u32,
}

/// All of them.
pub const RUNTIMES: [Runtime; 2] = [
    Runtime {
        title: "OpenVINO",
        engine: "openvino",
        package: "openvino",
        version: "2026.4.1",
        library: "openvino/libs/libopenvino_c.so.2641",
        variable: "MOBILENAS_OPENVINO",
        megabytes: 60,
    },
    Runtime {
        title: "LiteRT",
        engine: "litert",
        package: "ai-edge-litert",
        version: "2.3.0",
        library: "ai_edge_litert/libLiteRt.so",
        variable: "MOBILENAS_LITERT",
        megabytes: 22,
    },
];

/// Raised when what is kept of the packages changes, so that older copies are replaced.
const LAYOUT: u32 = 1;

impl Runtime {
    /// Our copy of the library; it is fetched when it is not there. One that the user names is taken instead of ours.
    pub fn locate(&self, target: &TargetDir) -> Result<PathBuf> {
        if let Some(named) = std::env::var_os(self.variable).filter(|named| !named.is_empty()) {
            let named = PathBuf::from(named);
            if !named.is_file() {
                bail!("{}={} is no file, expected {}'s library", self.variable, named.display(), self.title);
            }
            return Ok(named);
        }
        let Self { title, package, version, .. } = self;
        let place = target.path.join(format!("{package}-{version}"));
        if !self.finished(&place) {
            self.fetch(&place)
                .with_context(|| format!("{title} {version} could not be fetched to {}", place.display()))?;
        }
        Ok(self.library(&place))
    }

    /// The package and its version for pip.
    pub fn requirement(&self) -> String {
        format!("{}=={}", self.package, self.version)
    }

    fn library(&self, place: &Path) -> PathBuf {
        place.join("packages").join(self.library)
    }

    /// The stamp's first line.
    fn headline(&self) -> String {
        format!("{} {}, layout {LAYOUT}", self.package, self.version)
    }

    fn finished(&self, place: &Path) -> bool {
        stamped(place, &self.headline(), &[&self.library(place)])
    }

    /// Installs the package alone: what it needs of Python is of no use here.
    fn fetch(&self, place: &Path) -> Result<()> {
        let Self { title, version, megabytes, .. } = self;
        let python = python_with_pip()?;
        let staging = Staging::begin(place)?;
        eprintln!("fetching {title} {version} with {python} -m pip: {megabytes} MB once, kept in {}", place.display());
        let packages = staging.tree().join("packages");
        let folder = packages.to_str().with_context(|| format!("{} is not UTF-8", packages.display()))?;
        let args = ["--no-compile", "--no-deps", "--target", folder];
        pip(python, "install", &staging.scratch(), &args, &[&self.requirement()])?;
        stamp(&staging.tree(), &self.headline(), "")?;
        if !self.finished(&staging.tree()) {
            bail!("the package is not laid out as expected: no {}", self.library);
        }
        staging.finish(|place| self.finished(place))?;
        eprintln!("{title} {version} is in {}", place.display());
        Ok(())
    }
}
