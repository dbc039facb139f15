//! Images and labels, and which of them may be seen when.

mod fashion_mnist;
mod idx;
mod split;

use std::path::PathBuf;

pub use fashion_mnist::{FILES, load};
pub use split::{SearchVal, Split, Test, split, test_split};

/// Grey images of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// Number of images.
    pub n: usize,
    /// Rows of each.
    pub height: usize,
    /// Columns of each.
    pub width: usize,
    /// `n * height * width` bytes, row-major.
    pub pixels: Vec<u8>,
}

/// Images with their classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// The images.
    pub images: Images,
    /// The class of each.
    pub labels: Vec<u8>,
    /// Number of classes.
    pub classes: usize,
}

/// Data that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Files are not there.
    #[error("{folder}: {missing} not found, expected the files {files} (each with or without .gz); `cargo xtask setup` fetches them, or put them there by hand", folder = folder.display())]
    Missing {
        /// Where they should be.
        folder: PathBuf,
        /// The first that is missing.
        missing: String,
        /// All of them.
        files: String,
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
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
}
