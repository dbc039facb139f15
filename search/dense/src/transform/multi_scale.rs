//! Steps of several sizes.

use mobilenas_space::seed::{Purpose, rng};
use rand::seq::IndexedRandom as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The sides of a step's images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MultiScale {
    /// The sides, each as likely as the others.
    #[schemars(length(min = 1), inner(range(min = 32, max = 2048)))]
    pub sizes: Vec<u32>,
}

impl MultiScale {
    /// The side of a step; none without sizes.
    pub fn side(&self, seed: u64, step: u64) -> Option<u32> {
        self.sizes.choose(&mut rng(seed, Purpose::Scale, step, 0)).copied()
    }
}
