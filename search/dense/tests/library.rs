//! Tests of datasets, metrics and losses of detection and segmentation.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod coco;
mod datasets;
mod rcnn;
mod shapes;
mod ssd;
