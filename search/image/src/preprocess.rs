//! From a photo to a network's input, as timm's evaluation does it.

use std::fmt;

use image::RgbImage;
use mobilenas_space::families::Preprocessing;

use super::resize::resized_part;

/// A network's preprocessing at its resolution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pipeline {
    /// Side of the network's images in pixels.
    pub side: u32,
    /// What is done.
    pub how: Preprocessing,
}

impl Pipeline {
    /// What the shorter side is resized to.
    pub fn shorter(&self) -> u32 {
        (f64::from(self.side) / self.how.crop_pct).floor() as u32
    }

    /// The size an image is resized to before the cut.
    pub fn resized(&self, width: u32, height: u32) -> (u32, u32) {
        let short = self.shorter();
        let long = |l: u32, s: u32| u32::try_from(u64::from(short) * u64::from(l) / u64::from(s.max(1)));
        let long = |l, s| long(l, s).unwrap_or(u32::MAX);
        if width <= height { (short, long(height, width)) } else { (long(width, height), short) }
    }

    /// Resizes and cuts out the centre: `side` x `side` levels.
    pub fn cut(&self, image: &RgbImage) -> RgbImage {
        let size = self.resized(image.width(), image.height());
        let corner = (half_even(size.0 - self.side), half_even(size.1 - self.side));
        resized_part(image, size, corner, self.side, self.how.interpolation)
    }

    /// An image's levels, cut, to a network's input: three channels, each row by row.
    pub fn input<F: Float>(&self, image: &RgbImage) -> Vec<F> {
        let cut = self.cut(image);
        let mut out = Vec::with_capacity(cut.len());
        for channel in 0..3 {
            let (mean, std) = (self.how.mean[channel], self.how.std[channel]);
            out.extend(cut.pixels().map(|p| F::normalised(p.0[channel], mean, std)));
        }
        out
    }
}

/// Half of it; halves go to the even neighbour, as Python rounds.
fn half_even(n: u32) -> u32 {
    let half = n / 2;
    if n % 2 == 1 && half % 2 == 1 { half + 1 } else { half }
}

/// The two precisions.
pub trait Float: Copy + Send {
    /// A level over 255, less the mean, over the standard deviation: each step in this precision.
    fn normalised(level: u8, mean: f64, std: f64) -> Self;
}

impl Float for f32 {
    fn normalised(level: u8, mean: f64, std: f64) -> f32 {
        (f32::from(level) / 255.0 - mean as f32) / std as f32
    }
}

impl Float for f64 {
    fn normalised(level: u8, mean: f64, std: f64) -> f64 {
        (f64::from(level) / 255.0 - mean) / std
    }
}

impl fmt::Display for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([r, g, b], [x, y, z]) = (self.how.mean, self.how.std);
        let (side, short, how) = (self.side, self.shorter(), self.how.interpolation.name());
        write!(f, "shorter side to {short} px ({how}, crop_pct {}), centre {side} x {side}, ", self.how.crop_pct)?;
        write!(f, "mean {r} {g} {b}, std {x} {y} {z}")
    }
}
