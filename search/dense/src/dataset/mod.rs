//! Datasets of boxes and class maps. One file each.

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

pub use ade20k::Ade20k;
pub use coco::Coco;
pub use damage::{Damage, Damaged};
pub use entry::{Class, DenseDataset, ImageEntry, Object, Shape};
pub use folder::MaskFolder;
pub use map_rule::MapRule;
pub use reader::{DenseReader, ReadOptions};
pub use voc::Voc;
