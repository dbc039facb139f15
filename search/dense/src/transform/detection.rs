//! What happens to an image that a detector is trained on.

use rand::{Rng, RngExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DistortConfig, Interpolation, SsdCrop};
use crate::{DenseError, Sample};

/// In this order: cropped, distorted, mirrored, resized to a square whatever the ratio of the sides. The defaults are
/// the recipe of cvnets' SSDLite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DetectionTransform {
    /// SSD's random crop.
    pub crop: SsdCrop,
    /// Photometric distortion.
    pub distort: DistortConfig,
    /// Probability of mirroring.
    #[schemars(range(min = 0, max = 1))]
    pub flip: f64,
    /// How levels between pixels are found.
    pub interpolation: Interpolation,
}

impl Default for DetectionTransform {
    fn default() -> DetectionTransform {
        DetectionTransform {
            crop: SsdCrop::default(),
            distort: DistortConfig::default(),
            flip: 0.5,
            interpolation: Interpolation::Bicubic,
        }
    }
}

impl DetectionTransform {
    /// For training, at the side of a step.
    ///
    /// # Errors
    /// When the side is 0.
    pub fn training(&self, sample: Sample, side: u32, rng: &mut dyn Rng) -> Result<Sample, DenseError> {
        let mut sample = self.crop.apply(sample, rng);
        self.distort.apply(&mut sample.image, rng);
        if rng.random_bool(self.flip) {
            sample.mirror();
        }
        sample.resized((side, side), self.interpolation.into())
    }
}
