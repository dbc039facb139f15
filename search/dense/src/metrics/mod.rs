//! What counts as right: COCO's average precision, and the mean intersection over union of class maps.

pub mod coco;
mod confusion;
mod sum;

pub use confusion::ConfusionMatrix;
