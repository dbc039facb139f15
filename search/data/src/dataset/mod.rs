//! Datasets: images with their targets, and which of them may be seen when.

mod cifar;
mod error;
mod fashion_mnist;
mod folder;
mod idx;
mod shards;
mod source;
mod split;

use std::path::Path;

pub use error::DataError;
pub use fashion_mnist::FILES;
pub use shards::Shards;
pub use source::{ImageSource, InMemoryImages, RawImage};
pub use split::{SearchVal, Split, Test, split, test_split};

use crate::Target;
use crate::settings::DataName;

/// Images with their targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// The images.
    pub images: ImageSource,
    /// The target of each.
    pub targets: Vec<Target>,
    /// Names of the classes: a class's place is its label.
    pub classes: Vec<String>,
}

/// Reads a data set's training images and its test images; those of a folder are listed, and read when they are needed.
///
/// # Errors
/// When files are missing or damaged.
pub fn load(name: DataName, folder: &Path) -> Result<(Dataset, Dataset), DataError> {
    match name {
        DataName::FashionMnist => fashion_mnist::load(folder),
        DataName::Cifar10 => cifar::load(folder, &cifar::TEN),
        DataName::Cifar100 => cifar::load(folder, &cifar::HUNDRED),
        DataName::Folder => folder::load(folder),
    }
}

/// Number of classes, where the name alone tells it.
pub fn known_classes(name: DataName) -> Option<u32> {
    match name {
        DataName::FashionMnist | DataName::Cifar10 => Some(10),
        DataName::Cifar100 => Some(100),
        DataName::Folder => None,
    }
}
