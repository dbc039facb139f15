//! The arithmetic of single-shot detection (Liu et al., 2016): anchors, offsets, matching, hard negatives, detections.
//! Two published sets of rules: those of cvnets (MobileViT's SSDLite) and those of torchvision.

mod anchors;
mod coder;
mod detect;
mod matcher;
mod mining;
mod rules;
mod target;

pub use anchors::{AnchorClip, AnchorConfig};
pub use coder::Coder;
pub use detect::{Detection, DetectionConfig, nms};
pub use matcher::Matcher;
pub use mining::hard_negatives;
pub use rules::SsdRules;
pub use target::{Assigned, Assigner};
