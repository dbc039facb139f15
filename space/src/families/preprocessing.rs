//! How a family's published networks want their images.

/// How pixels between pixels are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// Cubic, a = -0.5.
    Bicubic,
    /// Linear.
    Bilinear,
}

impl Interpolation {
    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Interpolation::Bicubic => "bicubic",
            Interpolation::Bilinear => "bilinear",
        }
    }
}

/// From a photo to a network's input: the shorter side resized to `floor(resolution / crop_pct)`, the centre cut out,
/// levels divided by 255, mean taken off, divided by the standard deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preprocessing {
    /// Side of the cut over the shorter side.
    pub crop_pct: f64,
    /// How it is resized.
    pub interpolation: Interpolation,
    /// Taken off red, green and blue.
    pub mean: [f64; 3],
    /// What red, green and blue are divided by.
    pub std: [f64; 3],
}

impl Preprocessing {
    /// Bicubic; pixels stay in [0, 1].
    pub const fn plain(crop_pct: f64) -> Preprocessing {
        Preprocessing { crop_pct, interpolation: Interpolation::Bicubic, mean: [0.0; 3], std: [1.0; 3] }
    }

    /// Bicubic; pixels normalised by ImageNet's mean and standard deviation.
    pub const fn imagenet(crop_pct: f64) -> Preprocessing {
        let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
        Preprocessing { crop_pct, interpolation: Interpolation::Bicubic, mean, std }
    }
}
