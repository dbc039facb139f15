//! Transforms of training images together with their targets: each kind in a file of its own, a pure function of the
//! sample and a generator.

mod dense_transform;
mod detection;
mod distort;
mod random_crop;
mod random_resize;
mod segmentation;
mod ssd_crop;

use rand::{Rng, RngExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use dense_transform::DenseTransform;
pub use detection::DetectionTransform;
pub use distort::DistortConfig;
pub use random_crop::RandomCrop;
pub use random_resize::{RandomResize, RatioRange, ShortSideRange};
pub use segmentation::SegmentationTransform;
pub use ssd_crop::SsdCrop;

/// How levels between pixels are found. Labels are never mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    #[allow(missing_docs)]
    Bilinear,
    #[allow(missing_docs)]
    Bicubic,
}

impl From<Interpolation> for mobilenas_space::families::Interpolation {
    fn from(how: Interpolation) -> Self {
        match how {
            Interpolation::Bilinear => Self::Bilinear,
            Interpolation::Bicubic => Self::Bicubic,
        }
    }
}

/// Even between two numbers.
fn between(low: f64, high: f64, rng: &mut dyn Rng) -> f64 {
    low + (high - low) * rng.random::<f64>()
}

#[cfg(test)]
mod tests;
