//! What reads a dataset.

use std::fmt;
use std::path::Path;

use super::DenseDataset;
use crate::DenseError;

/// Reads one dataset.
pub trait DenseReader: Sync {
    /// Its name in configs.
    fn name(&self) -> &'static str;

    /// What it is, in one line.
    fn help(&self) -> &'static str;

    /// Lists the images of a split, with what they are labelled with. Images and class maps are read when they are
    /// needed.
    ///
    /// # Errors
    /// When files are missing, or more entries are damaged than the options let pass.
    fn load(&self, dir: &Path, split: &str, options: &ReadOptions) -> Result<DenseDataset, DenseError>;
}

impl fmt::Debug for dyn DenseReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a dataset is read.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadOptions {
    /// The share of entries (images and objects) that may be damaged; they are left out.
    pub damaged_limit: f64,
    /// Whether each image's file is looked at: whether it is there, and of the size that is stated.
    pub check_images: bool,
    /// Whether objects get their masks.
    pub masks: bool,
}

impl Default for ReadOptions {
    fn default() -> ReadOptions {
        ReadOptions { damaged_limit: 0.001, check_images: true, masks: false }
    }
}
