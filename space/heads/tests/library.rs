//! Tests of heads: against their reference, and on all backbones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod backbones;
mod common;
mod goldens;
mod knobs;
mod mask_rcnn;
mod names;
