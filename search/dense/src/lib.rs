//! Detection and segmentation without libtorch: what images are labelled with, boxes and anchors, what is detected,
//! what counts as right.

pub mod class_map;
pub mod dataset;
pub mod draw;
mod error;
pub mod geometry;
mod label;
pub mod mask;
pub mod metrics;
pub mod rcnn;
mod sample;
pub mod shapes;
pub mod ssd;
pub mod transform;

pub use class_map::{ClassMap, IGNORED};
pub use error::DenseError;
pub use geometry::{BBox, CenterBox};
pub use label::DenseLabel;
pub use sample::{DenseTarget, Keep, Sample, TargetBox};
