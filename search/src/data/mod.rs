//! Images and labels, and which of them may be seen when.

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
pub use mobilenas_images::Picture;
pub use shards::Shards;
pub use source::{Images, Raw, Source};
pub use split::{SearchVal, Split, Test, split, test_split};

use crate::config::DataName;

/// Images with their classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// The images.
    pub images: Source,
    /// The class of each.
    pub labels: Vec<u32>,
    /// Names of the classes: a class's place is its label.
    pub classes: Vec<String>,
}

/// Reads a data set's training images and its test images; those of a folder are listed, and read when they are needed.
///
/// # Errors
/// When files are missing or damaged.
pub fn load(name: DataName, folder: &Path) -> Result<(Labelled, Labelled), DataError> {
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
