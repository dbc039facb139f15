//! The published rules.

use super::{OverlapMatcher, Sampling};
use crate::ssd::Coder;

/// Which anchors become proposals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Proposing {
    /// Best anchors of a level that enter non-maximum suppression.
    pub per_level: usize,
    /// A proposal goes if its IoU with a better one of its level is above this.
    pub nms_iou: f64,
    /// Proposals of an image that are kept.
    pub per_image: usize,
}

/// All numbers of a detector of two stages that are not those of its layers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RcnnRules {
    /// Pixels from one position of each level to the next.
    pub strides: &'static [u32],
    /// Side of a square anchor, in strides of its level.
    pub scale: f64,
    /// Heights of a position's anchors over their widths.
    pub ratios: &'static [f64],
    /// Which anchors have an object.
    pub anchors: OverlapMatcher,
    /// Anchors that are trained on.
    pub anchor_samples: Sampling,
    /// How the boxes of anchors are coded.
    pub anchor_coder: Coder,
    /// Which anchors become proposals in training.
    pub training: Proposing,
    /// Which do in use.
    pub proposing: Proposing,
    /// Which proposals have an object.
    pub regions: OverlapMatcher,
    /// Proposals that are trained on.
    pub region_samples: Sampling,
    /// How the boxes of proposals are coded.
    pub region_coder: Coder,
    /// A detection's probability has to be above this.
    pub score_threshold: f64,
    /// A detection goes if its IoU with a better one of its class is above this.
    pub nms_iou: f64,
    /// Detections of an image that are kept.
    pub per_image: usize,
    /// A pixel is inside a mask from this probability on.
    pub mask_threshold: f64,
}

impl RcnnRules {
    /// mmdetection's Mask R-CNN on a pyramid, which EfficientFormer's authors leave as it is.
    pub const MMDETECTION: RcnnRules = RcnnRules {
        strides: &[4, 8, 16, 32, 64],
        scale: 8.0,
        ratios: &[0.5, 1.0, 2.0],
        anchors: OverlapMatcher { positive: 0.7, negative: 0.3, least: 0.3 },
        anchor_samples: Sampling { count: 256, positive: 0.5 },
        anchor_coder: Coder { center: 1.0, size: 1.0, max_log: LARGEST },
        training: Proposing { per_level: 2000, nms_iou: 0.7, per_image: 1000 },
        proposing: Proposing { per_level: 1000, nms_iou: 0.7, per_image: 1000 },
        regions: OverlapMatcher { positive: 0.5, negative: 0.5, least: 0.5 },
        region_samples: Sampling { count: 512, positive: 0.25 },
        region_coder: Coder { center: 0.1, size: 0.2, max_log: LARGEST },
        score_threshold: 0.05,
        nms_iou: 0.5,
        per_image: 100,
        mask_threshold: 0.5,
    };
}

/// The logarithm of 1000 / 16.
const LARGEST: f64 = 4.135_166_556_742_356;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_ratio_of_sides_is_the_published_one() {
        assert_eq!(LARGEST, (1000.0f64 / 16.0).ln());
    }
}
