//! What a dataset is, and what reads one.

use std::fmt;
use std::path::Path;

use super::{DataError, ImageSource};
use crate::{Labels, Target};

/// Reads one dataset.
pub trait DatasetReader: Sync {
    /// Its name in configs and records, and that of its folder.
    fn name(&self) -> &'static str;

    /// What it is, in one line.
    fn help(&self) -> &'static str;

    /// Number of classes, where the name alone tells it.
    fn classes(&self) -> Option<u32>;

    /// What its images may be labelled with.
    fn labels(&self) -> &'static [Labels] {
        &[Labels::Classes]
    }

    /// Whether its images are photos in files: decoded when needed, cut out at random, normalised as the family's published
    /// weights want them.
    fn photos(&self) -> bool {
        false
    }

    /// Reads the training images and the test images; those in files are listed, and read when they are needed.
    ///
    /// # Errors
    /// When files are missing or damaged.
    fn load(&self, dir: &Path, options: &ReadOptions) -> Result<Splits, DataError>;
}

impl fmt::Debug for dyn DatasetReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a dataset is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadOptions {
    /// Whether a class folder may be without a usable image: then it is no class.
    pub allow_empty_classes: bool,
    /// Which labels are wanted, of a dataset that has several.
    pub labels: Labels,
    /// How boxes and class maps are read.
    pub dense: DenseOptions,
}

/// How boxes and class maps are read.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseOptions {
    /// The split that is trained on.
    pub train: String,
    /// The split that is scored on.
    pub val: String,
    /// The share of entries that may be damaged.
    pub damaged_limit: f64,
    /// Whether each image's file is looked at first.
    pub check_images: bool,
}

impl Default for DenseOptions {
    fn default() -> DenseOptions {
        DenseOptions { train: "train".into(), val: "val".into(), damaged_limit: 0.001, check_images: true }
    }
}

/// A dataset as it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Splits {
    /// The training images.
    pub train: Dataset,
    /// The test images.
    pub test: Dataset,
    /// What a user has to know: files that were left out.
    pub notes: Vec<String>,
}

/// Images with their targets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    /// The images.
    pub images: ImageSource,
    /// The target of each.
    pub targets: Vec<Target>,
    /// Names of the classes: a class's place is its label.
    pub classes: Vec<String>,
    /// Their ids in the dataset's files, where those have some.
    pub class_ids: Vec<u64>,
    /// What the images are labelled with.
    pub labels: Labels,
}
