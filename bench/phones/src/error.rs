//! Why there is no converted file.

use std::io;
use std::path::{Path, PathBuf};

use mobilenas_host::WorkerError;
use mobilenas_pytorch::PytorchError;
use mobilenas_torch::NetError;

/// The variable that names the folder.
pub const CACHE: &str = "MOBILENAS_CACHE";
/// The variable that names it.
pub const PYTHON: &str = "MOBILENAS_PHONES_PYTHON";
/// How to get the converters.
const HOW: &str = "`cargo xtask setup --phones` makes it";

/// What can go wrong in a conversion.
#[derive(Debug, thiserror::Error)]
pub enum PhonesError {
    /// Nothing says which Python has the converters.
    #[error("{PYTHON} is not set, expected the Python that has the converters; {HOW}")]
    Unset,
    /// What is named is not there.
    #[error("{PYTHON}={python} is no file, expected the Python that has the converters; {HOW}")]
    NoFile {
        /// What is named.
        python: String,
    },
    /// It does not start.
    #[error("{PYTHON}={python}: {source}, expected a Python with the converters")]
    Start {
        /// What is named.
        python: String,
        /// What the system says.
        source: io::Error,
    },
    /// It lacks a package.
    #[error("{PYTHON}={python}: {said}, expected a Python with the converters; {HOW}")]
    Packages {
        /// What is named.
        python: String,
        /// What it says.
        said: String,
    },
    /// A file of a conversion.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The place of converted files.
    #[error("{}: {source}, expected a folder for converted files; {CACHE} names another", folder.display())]
    Cache {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The converter refuses, or fails.
    #[error("the conversion failed: {said}")]
    Failed {
        /// The last that it said.
        said: String,
    },
    /// It ended well and said nothing.
    #[error("the conversion ended without a report: {said}")]
    NoReport {
        /// What is wrong with the report.
        said: String,
    },
    /// The process that converts ended or gave no answer.
    #[error("the conversion failed: {0}")]
    Worker(#[from] WorkerError),
    /// The graph.
    #[error(transparent)]
    Source(#[from] PytorchError),
    /// libtorch, or the network.
    #[error(transparent)]
    Net(#[from] NetError),
}

impl PhonesError {
    /// Whether the user can mend it: the converters are not there.
    pub fn is_input(&self) -> bool {
        matches!(self, Self::Unset | Self::NoFile { .. } | Self::Start { .. } | Self::Packages { .. })
    }

    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> PhonesError {
        let path = path.to_path_buf();
        move |source| PhonesError::Io { path, source }
    }
}
