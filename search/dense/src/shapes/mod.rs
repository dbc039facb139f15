//! Scenes composed of small grey images, with exact boxes, masks and class maps: something to try detection and
//! segmentation on where no real dataset is at hand.

mod scene;
mod write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use scene::{Placed, Scene, compose};
pub use write::{Written, write};

/// Small grey images on black, with their classes.
#[derive(Clone, Copy, Debug)]
pub struct Sprites<'a> {
    /// Columns of each.
    pub width: usize,
    /// Rows of each.
    pub height: usize,
    /// Levels, image by image, row by row.
    pub levels: &'a [u8],
    /// The class of each.
    pub labels: &'a [u32],
}

impl Sprites<'_> {
    /// The levels of one.
    fn levels(&self, i: usize) -> &[u8] {
        let size = self.width * self.height;
        &self.levels[i * size..(i + 1) * size]
    }
}

/// What scenes look like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ShapesConfig {
    /// Scenes to train on.
    #[schemars(range(min = 1, max = 1000000))]
    pub train: u32,
    /// Scenes to score on; they are composed of other images.
    #[schemars(range(min = 1, max = 1000000))]
    pub val: u32,
    /// Smallest side of a scene in pixels.
    #[schemars(range(min = 48, max = 1024))]
    pub min_side: u32,
    /// Largest side.
    #[schemars(range(min = 48, max = 1024))]
    pub max_side: u32,
    /// Most objects in a scene; there is at least one.
    #[schemars(range(min = 1, max = 32))]
    pub max_objects: u32,
    /// Smallest side that an object's image is resized to.
    #[schemars(range(min = 8, max = 1024))]
    pub min_object: u32,
    /// Largest, also at most three quarters of the scene's shorter side.
    #[schemars(range(min = 8, max = 1024))]
    pub max_object: u32,
    /// The seed.
    pub seed: u64,
}

impl Default for ShapesConfig {
    fn default() -> ShapesConfig {
        ShapesConfig {
            train: 2000,
            val: 500,
            min_side: 96,
            max_side: 160,
            max_objects: 6,
            min_object: 16,
            max_object: 96,
            seed: 1,
        }
    }
}
