//! What happens to an image that a detector is trained or scored on.

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
    /// SSD's random crop; off if null.
    pub crop: Option<SsdCrop>,
    /// Photometric distortion; off if null.
    pub distort: Option<DistortConfig>,
    /// Probability of mirroring.
    #[schemars(range(min = 0, max = 1))]
    pub flip: f64,
    /// The side that images are resized to.
    #[schemars(range(min = 32, max = 2048))]
    pub side: u32,
    /// How levels between pixels are found.
    pub interpolation: Interpolation,
}

impl Default for DetectionTransform {
    fn default() -> DetectionTransform {
        DetectionTransform {
            crop: Some(SsdCrop::default()),
            distort: Some(DistortConfig::default()),
            flip: 0.5,
            side: 320,
            interpolation: Interpolation::Bicubic,
        }
    }
}

impl DetectionTransform {
    /// For training; `side` is that of a multi-scale step.
    ///
    /// # Errors
    /// When the side is 0.
    pub fn training(&self, mut sample: Sample, side: Option<u32>, rng: &mut dyn Rng) -> Result<Sample, DenseError> {
        if let Some(crop) = &self.crop {
            sample = crop.apply(sample, rng);
        }
        if let Some(distort) = &self.distort {
            distort.apply(&mut sample.image, rng);
        }
        if rng.random_bool(self.flip) {
            sample.mirror();
        }
        let side = side.unwrap_or(self.side);
        sample.resized((side, side), self.interpolation.into())
    }

    /// For scoring: resized alone.
    ///
    /// # Errors
    /// When the side is 0.
    pub fn plain(&self, sample: &Sample) -> Result<Sample, DenseError> {
        sample.resized((self.side, self.side), self.interpolation.into())
    }
}
