//! Photometric distortion, as cvnets has it with Pillow's arithmetic.

use mobilenas_image::hue::hue;
use mobilenas_image::{Picture, enhance};
use rand::seq::SliceRandom as _;
use rand::{Rng, RngExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::between;

/// How far colours may move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DistortConfig {
    /// Probability of each change.
    #[schemars(range(min = 0, max = 1))]
    pub probability: f64,
    /// Brightness: a factor from 1 less to 1 more than this.
    #[schemars(range(min = 0, max = 1))]
    pub brightness: f64,
    /// Contrast, likewise; before the other changes or after them.
    #[schemars(range(min = 0, max = 1))]
    pub contrast: f64,
    /// Saturation, likewise.
    #[schemars(range(min = 0, max = 1))]
    pub saturation: f64,
    /// Hue: a turn by up to this part of the circle, either way.
    #[schemars(range(min = 0, max = 0.5))]
    pub hue: f64,
    /// Whether red, green and blue may change places.
    pub permute: bool,
}

impl Default for DistortConfig {
    fn default() -> DistortConfig {
        DistortConfig { probability: 0.5, brightness: 0.125, contrast: 0.5, saturation: 0.5, hue: 0.05, permute: true }
    }
}

impl DistortConfig {
    /// Changes a picture's colours.
    pub fn apply(&self, picture: &mut Picture, rng: &mut dyn Rng) {
        let mut drawn = || rng.random_bool(self.probability);
        let (brightness, early, contrast) = (drawn(), drawn(), drawn());
        let (saturation, turn, permute) = (drawn(), drawn(), drawn());
        let factor = |reach: f64, rng: &mut dyn Rng| between(1.0 - reach, 1.0 + reach, rng) as f32;
        if brightness {
            enhance::brightness(picture, factor(self.brightness, rng));
        }
        if contrast && early {
            enhance::contrast(picture, factor(self.contrast, rng));
        }
        if saturation {
            enhance::saturation(picture, factor(self.saturation, rng));
        }
        if turn {
            hue(picture, between(-self.hue, self.hue, rng));
        }
        if contrast && !early {
            enhance::contrast(picture, factor(self.contrast, rng));
        }
        if permute && self.permute && picture.channels == 3 {
            let mut order = [0, 1, 2];
            order.shuffle(rng);
            for pixel in picture.levels.as_chunks_mut::<3>().0 {
                *pixel = order.map(|k| pixel[k]);
            }
        }
    }
}
