//! Heads for dense prediction: what reads a backbone's named feature maps to detect objects or to segment an image.
//!
//! A head is a family of its own. It appends blocks to a backbone's [`Plan`], which may be a published network's or a
//! genome's, so cost, latency keys, memory, the libtorch net and the exporters read the whole network as they read any
//! other. A new head is one file here and one line in [`HEADS`].

mod args;
mod change;
mod deeplab;
mod detections;
mod fpn;
mod head;
mod mask_rcnn;
mod naming;
mod psp;
mod registry;
mod segmenter;
mod settings;
mod ssd;
mod ssd_torchvision;
mod unit;

pub use args::{HeadArgs, HeadError};
pub use change::{WithHead, head_of_knob};
pub use detections::detections;
pub use head::{BACKBONE, Head, HeadOptions, Needs, Task};
pub use mask_rcnn::level_sizes;
pub use naming::HeadNaming;
pub use registry::{HEADS, attach, first, head};
pub use settings::{HeadConfig, HeadName};
pub use ssd::map_sizes;
