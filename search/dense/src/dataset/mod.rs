//! Datasets of boxes and class maps. One file each, one line in [`DENSE_DATASETS`].

mod ade20k;
mod check;
mod coco;
mod coco_json;
mod damage;
mod entry;
mod folder;
mod map_rule;
mod read;
mod reader;
mod voc;

pub use damage::{Damage, Damaged};
pub use entry::{Class, DenseDataset, ImageEntry, Object, Shape};
pub use map_rule::MapRule;
pub use reader::{DenseReader, ReadOptions};

/// All datasets that a config can name.
pub static DENSE_DATASETS: &[&dyn DenseReader] = &[&coco::Coco, &voc::Voc, &ade20k::Ade20k, &folder::MaskFolder];

/// A dataset by name.
pub fn dense_dataset(name: &str) -> Option<&'static dyn DenseReader> {
    DENSE_DATASETS.iter().copied().find(|d| d.name() == name)
}
