//! What happens to an image that a segmentation network is trained on, and the sizes at which images are scored.

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

/// The size at which an image is scored. Logits go back to the image's own size, and are compared there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SegmentationResize {
    /// The shorter side.
    #[schemars(range(min = 8, max = 4096))]
    pub short_side: u32,
    /// The longer side is at most this; both get smaller with it.
    #[schemars(range(min = 8, max = 8192))]
    pub longest: Option<u32>,
    /// Both sides become multiples of this.
    #[schemars(range(min = 1, max = 256))]
    pub multiple: u32,
    /// Which multiple.
    pub rounding: Rounding,
}

/// Which multiple.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// The next smaller one, as cvnets does.
    Down,
    /// The next larger one, as the EfficientFormers' configs do.
    Up,
}

impl SegmentationResize {
    /// cvnets', for an output stride.
    pub fn cvnets(output_stride: u32) -> SegmentationResize {
        SegmentationResize { short_side: 512, longest: None, multiple: output_stride, rounding: Rounding::Down }
    }

    /// That of the EfficientFormers' configs for mmsegmentation.
    pub fn mmsegmentation() -> SegmentationResize {
        SegmentationResize { short_side: 512, longest: Some(2048), multiple: 32, rounding: Rounding::Up }
    }

    /// The size for an image of a size.
    pub fn size(&self, (width, height): (u32, u32)) -> (u32, u32) {
        let (short, long) = (f64::from(width.min(height)), f64::from(width.max(height)));
        let factor = f64::from(self.short_side) / short;
        let factor = factor.min(self.longest.map_or(f64::INFINITY, |l| f64::from(l) / long));
        let side = |s: u32| {
            // cvnets cuts off, mmsegmentation rounds.
            let scaled = match self.rounding {
                Rounding::Down => (f64::from(s) * factor + 1e-9) as u32 / self.multiple,
                Rounding::Up => ((f64::from(s) * factor + 0.5) as u32).div_ceil(self.multiple),
            };
            scaled.max(1) * self.multiple
        };
        (side(width), side(height))
    }
}
