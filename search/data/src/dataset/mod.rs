//! Datasets: images with their targets, and which of them may be seen when. One file each, one line in [`DATASETS`].

mod cifar;
mod dense;
mod error;
mod fashion_mnist;
mod folder;
mod idx;
mod image_folder;
mod reader;
mod shards;
mod source;
mod split;

pub use error::DataError;
pub use fashion_mnist::FILES;
pub(crate) use folder::Folder;
pub use image_folder::ImageFolder;
pub use reader::{Dataset, DatasetReader, DenseOptions, ReadOptions, Splits};
pub use shards::Shards;
pub use source::{ImageSource, InMemoryImages, RawImage};
pub use split::{SearchVal, Split, Test, split, test_split};

/// All datasets that a config can name, the default first.
pub static DATASETS: &[&dyn DatasetReader] = &[
    &fashion_mnist::FashionMnist,
    &cifar::CIFAR_10,
    &cifar::CIFAR_100,
    &Folder,
    &dense::COCO,
    &dense::VOC,
    &dense::ADE20K,
    &dense::MASKS,
];

/// A dataset by name.
pub fn dataset(name: &str) -> Option<&'static dyn DatasetReader> {
    DATASETS.iter().copied().find(|d| d.name() == name)
}
