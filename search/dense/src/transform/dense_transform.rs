//! The transform of either task.

use rand::Rng;

use super::{DetectionTransform, Interpolation, SegmentationTransform};
use crate::{DenseError, Sample};

/// What happens to image and target on their way into a network.
#[derive(Clone, Debug, PartialEq)]
pub enum DenseTransform {
    /// Of a detector.
    Detection(DetectionTransform),
    /// Of a segmentation network.
    Segmentation(SegmentationTransform),
}

impl DenseTransform {
    /// How levels between pixels are found; images that are scored are resized in the same way.
    pub fn interpolation(&self) -> Interpolation {
        match self {
            DenseTransform::Detection(how) => how.interpolation,
            DenseTransform::Segmentation(how) => how.interpolation,
        }
    }

    /// For training, at a side.
    ///
    /// # Errors
    /// When the image has no pixels.
    pub fn training(&self, sample: Sample, side: u32, rng: &mut dyn Rng) -> Result<Sample, DenseError> {
        match self {
            DenseTransform::Detection(how) => how.training(sample, side, rng),
            DenseTransform::Segmentation(how) => how.training(sample, side, rng),
        }
    }
}
