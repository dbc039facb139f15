//! What cannot be used.

use std::path::PathBuf;

/// What cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DenseError {
    /// Anchors whose numbers do not go together.
    #[error("anchors: found {found}, expected {expected}")]
    Anchors {
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// A mask that is none.
    #[error("mask: found {found}, expected {expected}")]
    Mask {
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// Class maps that do not go together.
    #[error("class map: found {found}, expected {expected}")]
    ClassMap {
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// A size that an image cannot have.
    #[error("resizing from {} x {}: found {found}", from.0, from.1)]
    Resize {
        /// What is wrong.
        found: String,
        /// The image's columns and rows.
        from: (u32, u32),
    },
    /// Scenes that cannot be composed.
    #[error("scenes: found {found}, expected {expected}")]
    Shapes {
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// The disk.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A file that is not what it should be.
    #[error("{}: found {found}, expected {expected}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// More damaged entries than the settings let pass.
    #[error(
        "{}: found {found} damaged entries among {all}, expected at most {most} (damaged_limit):{}",
        path.display(),
        lines(list)
    )]
    TooDamaged {
        /// The dataset's file or folder.
        path: PathBuf,
        /// Damaged entries.
        found: usize,
        /// All entries.
        all: usize,
        /// How many may be damaged.
        most: usize,
        /// The first of them, each with what is wrong.
        list: Vec<String>,
    },
}

impl DenseError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> DenseError {
        let path = path.into();
        move |error| DenseError::Io { path, error }
    }

    pub(crate) fn file(path: impl Into<PathBuf>, found: impl Into<String>, expected: impl Into<String>) -> DenseError {
        DenseError::File { path: path.into(), found: found.into(), expected: expected.into() }
    }
}

fn lines(list: &[String]) -> String {
    list.iter().map(|l| format!("\n  {l}")).collect()
}
