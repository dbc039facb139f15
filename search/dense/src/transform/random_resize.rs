//! Random sizes that keep the ratio of the sides.

use rand::{Rng, RngExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::between;

/// How large an image becomes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RandomResize {
    /// As cvnets does: the shorter side is drawn.
    ShortSide {
        /// Smallest shorter side.
        #[schemars(range(min = 8, max = 4096))]
        min: u32,
        /// Largest shorter side.
        #[schemars(range(min = 8, max = 4096))]
        max: u32,
        /// The longer side is at most this; both get smaller with it.
        #[schemars(range(min = 8, max = 8192))]
        longest: u32,
    },
    /// As mmsegmentation does: two sides that the image just fits into, times a drawn factor.
    Ratio {
        /// Smallest factor.
        #[schemars(extend("exclusiveMinimum" = 0))]
        min: f64,
        /// Largest factor.
        #[schemars(extend("exclusiveMinimum" = 0))]
        max: f64,
        /// The longer side at factor 1.
        #[schemars(range(min = 8, max = 8192))]
        long_side: u32,
        /// The shorter side at factor 1.
        #[schemars(range(min = 8, max = 8192))]
        short_side: u32,
    },
}

impl RandomResize {
    /// cvnets' for 512 x 512.
    pub fn cvnets() -> RandomResize {
        RandomResize::ShortSide { min: 256, max: 768, longest: 1024 }
    }

    /// mmsegmentation's for 512 x 512.
    pub fn mmsegmentation() -> RandomResize {
        RandomResize::Ratio { min: 0.5, max: 2.0, long_side: 2048, short_side: 512 }
    }

    /// A size for an image of a size.
    pub fn draw(&self, (width, height): (u32, u32), rng: &mut dyn Rng) -> (u32, u32) {
        let (short, long) = (f64::from(width.min(height)), f64::from(width.max(height)));
        let (factor, half) = match *self {
            RandomResize::ShortSide { min, max, longest } => {
                let drawn = f64::from(rng.random_range(min.min(max)..=max.max(min)));
                ((drawn / short).min(f64::from(longest) / long), 0.0)
            }
            RandomResize::Ratio { min, max, long_side, short_side } => {
                let drawn = between(min, max, rng);
                let side = |s: u32| (f64::from(s) * drawn).floor();
                ((side(long_side) / long).min(side(short_side) / short), 0.5)
            }
        };
        let side = |s: u32| ((f64::from(s) * factor + half) as u32).max(1);
        (side(width), side(height))
    }
}
