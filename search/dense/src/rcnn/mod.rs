//! The arithmetic of detectors of two stages (Ren et al., 2015; He et al., 2017) by the rules of mmdetection 2: anchors of a
//! pyramid, proposals, which of them are trained on, detections, and masks of regions. Boxes are in pixels of the image that
//! the network reads.

mod anchors;
mod detect;
mod matching;
mod paste;
mod proposals;
mod rules;
mod targets;

pub use detect::Instance;
pub use matching::{Match, OverlapMatcher, Sampled, Sampling};
pub use paste::{cut_mask, pasted};
pub use rules::{Proposing, RcnnRules};
pub use targets::{AnchorTargets, RegionTarget};
