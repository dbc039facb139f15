//! Colour jitter as torchvision has it: brightness, contrast and saturation in a random order, with Pillow's arithmetic.

use rand::Rng;
use rand::seq::SliceRandom as _;

use super::crop::between;
use mobilenas_image::Picture;
use mobilenas_image::enhance;

/// Moves brightness, contrast and saturation by factors between `1 - strength` and `1 + strength`.
pub fn jitter(picture: &mut Picture, strength: f64, rng: &mut dyn Rng) {
    let mut order = [enhance::brightness, enhance::contrast, enhance::saturation];
    order.shuffle(rng);
    for change in order {
        change(picture, between((1.0 - strength).max(0.0), 1.0 + strength, rng) as f32);
    }
}
