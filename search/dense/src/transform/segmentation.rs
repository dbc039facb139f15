//! What happens to an image that a segmentation network is trained on.

use rand::{Rng, RngExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DistortConfig, Interpolation, RandomCrop, RandomResize};
use crate::{DenseError, Sample};

/// In this order: resized, mirrored, cropped, distorted. The defaults are the sizes of cvnets' recipe, without its blur
/// and rotation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SegmentationTransform {
    /// The size before the crop.
    pub resize: RandomResize,
    /// How levels between pixels are found.
    pub interpolation: Interpolation,
    /// Probability of mirroring.
    #[schemars(range(min = 0, max = 1))]
    pub flip: f64,
    /// The random crop.
    pub crop: RandomCrop,
    /// Photometric distortion.
    pub distort: DistortConfig,
}

impl Default for SegmentationTransform {
    fn default() -> SegmentationTransform {
        SegmentationTransform {
            resize: RandomResize::cvnets(),
            interpolation: Interpolation::Bicubic,
            flip: 0.5,
            crop: RandomCrop::default(),
            distort: DistortConfig::default(),
        }
    }
}

impl SegmentationTransform {
    /// For training, at the side of a step.
    ///
    /// # Errors
    /// When the image has no pixels.
    pub fn training(&self, mut sample: Sample, side: u32, rng: &mut dyn Rng) -> Result<Sample, DenseError> {
        let own = (sample.image.width as u32, sample.image.height as u32);
        let size = self.resize.draw(own, rng);
        if size != own {
            sample = sample.resized(size, self.interpolation.into())?;
        }
        if rng.random_bool(self.flip) {
            sample.mirror();
        }
        sample = self.crop.apply(&sample, side, rng);
        self.distort.apply(&mut sample.image, rng);
        Ok(sample)
    }
}
