//! Why a model file cannot be used.

use std::path::PathBuf;

use mobilenas_onnx::file::ReadError;

/// A model file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be opened.
    #[error("{}: {source}, expected a model file", file.display())]
    Open {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// What is in it, or the sizes that were given for it.
    #[error("{}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: Box<ReadError>,
    },
    /// Something else of it or its settings.
    #[error("{}: found {found}, expected {expected}", file.display())]
    Content {
        /// The file.
        file: PathBuf,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// The library that runs it refuses it.
    #[error("{}: {engine} refuses it: {message}", file.display())]
    Refused {
        /// The file.
        file: PathBuf,
        /// The library.
        engine: &'static str,
        /// The first line of what it says.
        message: String,
    },
    /// The library that runs it is not here.
    #[error("engine {engine}: {message}")]
    Library {
        /// The library.
        engine: &'static str,
        /// What is wrong.
        message: String,
    },
}

impl FileError {
    /// Whether the user has to mend the file or its settings.
    pub fn is_input(&self) -> bool {
        match self {
            FileError::Open { .. } | FileError::Read { .. } | FileError::Content { .. } | FileError::Refused { .. } => {
                true
            }
            FileError::Library { .. } => false,
        }
    }
}

/// The first line of a message.
pub(crate) fn first_line(e: impl std::fmt::Display) -> String {
    e.to_string().lines().next().unwrap_or_default().to_string()
}
