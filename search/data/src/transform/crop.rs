//! Random resized crop (Szegedy et al., 2015), drawn as torchvision draws it.

use mobilenas_space::families::Interpolation;
use rand::{Rng, RngExt as _};

use mobilenas_image::Area;

/// Which parts may be cut out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crop {
    /// Smallest share of the image's area; the largest is all of it.
    pub min_area: f64,
    /// Largest ratio of the sides, either way.
    pub max_ratio: f64,
    /// How levels between pixels are found.
    pub interpolation: Interpolation,
}

/// Draws that may miss the image before its middle is taken.
const TRIES: usize = 10;

impl Crop {
    /// As in the recipes: 8 % to all of the area, ratios of 3:4 to 4:3.
    pub const USUAL: Crop = Crop { min_area: 0.08, max_ratio: 4.0 / 3.0, interpolation: Interpolation::Bilinear };

    /// A part of an image of a size in pixels: a share of its area and a ratio of sides (even in its logarithm) are drawn
    /// until they fit, then a place; the middle if none fits.
    pub fn draw(&self, (width, height): (u32, u32), rng: &mut dyn Rng) -> Area {
        let (w, h) = (f64::from(width), f64::from(height));
        let log = self.max_ratio.ln();
        for _ in 0..TRIES {
            let area = w * h * between(self.min_area, 1.0, rng);
            let ratio = between(-log, log, rng).exp();
            let (cw, ch) = ((area * ratio).sqrt().round_ties_even(), (area / ratio).sqrt().round_ties_even());
            if cw >= 1.0 && ch >= 1.0 && cw <= w && ch <= h {
                let (cw, ch) = (cw as u32, ch as u32);
                let y = rng.random_range(0..=height - ch);
                let x = rng.random_range(0..=width - cw);
                return Area { x, y, width: cw, height: ch };
            }
        }
        self.middle(width, height)
    }

    /// The largest part about the middle whose ratio is allowed.
    fn middle(&self, width: u32, height: u32) -> Area {
        let (w, h) = (f64::from(width), f64::from(height));
        let (mut cw, mut ch) = (width, height);
        if w / h > self.max_ratio {
            cw = ((h * self.max_ratio).round_ties_even() as u32).clamp(1, width);
        } else if h / w > self.max_ratio {
            ch = ((w * self.max_ratio).round_ties_even() as u32).clamp(1, height);
        }
        Area { x: (width - cw) / 2, y: (height - ch) / 2, width: cw, height: ch }
    }
}

/// Even between two numbers.
pub(super) fn between(low: f64, high: f64, rng: &mut dyn Rng) -> f64 {
    low + (high - low) * rng.random::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mobilenas_space::seed::{Purpose, rng};

    #[test]
    fn parts_lie_inside_and_keep_the_bounds() {
        let (mut small, mut large) = (f64::INFINITY, 0f64);
        for slot in 0..2000 {
            let a = Crop::USUAL.draw((500, 375), &mut rng(1, Purpose::Augment, 0, slot));
            assert!(a.x + a.width <= 500 && a.y + a.height <= 375, "{a:?}");
            let share = f64::from(a.width * a.height) / (500.0 * 375.0);
            let ratio = f64::from(a.width) / f64::from(a.height);
            assert!((0.078..=1.0).contains(&share) && (0.74..=1.35).contains(&ratio), "{a:?}");
            (small, large) = (small.min(share), large.max(share));
        }
        assert!(small < 0.1 && large > 0.95, "{small} to {large}");
    }

    #[test]
    fn where_nothing_fits_the_middle_is_taken() {
        let strip = Crop { min_area: 1.0, ..Crop::USUAL };
        let a = strip.draw((100, 10), &mut rng(1, Purpose::Augment, 0, 0));
        assert_eq!(a, Area { x: 43, y: 0, width: 13, height: 10 });
        let one = Crop::USUAL.draw((1, 1), &mut rng(1, Purpose::Augment, 0, 0));
        assert_eq!((one.width, one.height), (1, 1));
    }
}
