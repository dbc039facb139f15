//! Random sizes that keep the ratio of the sides.

use rand::{Rng, RngExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::between;

/// How large an image becomes: by at most one of two rules; without any it keeps its size.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RandomResize {
    /// As cvnets does: the shorter side is drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short_side: Option<ShortSideRange>,
    /// As mmsegmentation does: two sides that the image just fits into, times a drawn factor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<RatioRange>,
}

/// A range of shorter sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShortSideRange {
    /// Smallest shorter side.
    #[schemars(range(min = 8, max = 4096))]
    pub min: u32,
    /// Largest shorter side.
    #[schemars(range(min = 8, max = 4096))]
    pub max: u32,
    /// The longer side is at most this; both get smaller with it.
    #[schemars(range(min = 8, max = 8192))]
    pub longest: u32,
}

/// A range of factors on two sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RatioRange {
    /// Smallest factor.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 100))]
    pub min: f64,
    /// Largest factor.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 100))]
    pub max: f64,
    /// The longer side at factor 1.
    #[schemars(range(min = 8, max = 8192))]
    pub long_side: u32,
    /// The shorter side at factor 1.
    #[schemars(range(min = 8, max = 8192))]
    pub short_side: u32,
}

impl RandomResize {
    /// cvnets' for 512 x 512.
    pub fn cvnets() -> RandomResize {
        let range = ShortSideRange { min: 256, max: 768, longest: 1024 };
        RandomResize { short_side: Some(range), ratio: None }
    }

    /// mmsegmentation's for 512 x 512.
    pub fn mmsegmentation() -> RandomResize {
        let range = RatioRange { min: 0.5, max: 2.0, long_side: 2048, short_side: 512 };
        RandomResize { short_side: None, ratio: Some(range) }
    }

    /// A size for an image of a size.
    pub fn draw(&self, (width, height): (u32, u32), rng: &mut dyn Rng) -> (u32, u32) {
        let (short, long) = (f64::from(width.min(height)), f64::from(width.max(height)));
        let (factor, half) = match (&self.ratio, &self.short_side) {
            (Some(ratio), _) => {
                let drawn = between(ratio.min, ratio.max, rng);
                let side = |s: u32| (f64::from(s) * drawn).floor();
                ((side(ratio.long_side) / long).min(side(ratio.short_side) / short), 0.5)
            }
            (None, Some(range)) => {
                let drawn = f64::from(rng.random_range(range.min.min(range.max)..=range.max.max(range.min)));
                ((drawn / short).min(f64::from(range.longest) / long), 0.0)
            }
            (None, None) => return (width, height),
        };
        let side = |s: u32| ((f64::from(s) * factor + half) as u32).max(1);
        (side(width), side(height))
    }
}
