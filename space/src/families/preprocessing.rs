//! The preprocessing of images that published weights expect.

/// Interpolation of a resize.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// Cubic, a = -0.5.
    Bicubic,
    /// Linear.
    Bilinear,
}

impl Interpolation {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Interpolation::Bicubic => "bicubic",
            Interpolation::Bilinear => "bilinear",
        }
    }
}

/// From a photo to a network's input: resize the shorter side to `floor(resolution / crop_pct)`, crop the centre, divide by
/// 255, subtract the mean and divide by the standard deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preprocessing {
    /// Side of the crop over the shorter side.
    pub crop_pct: f64,
    /// Interpolation of the resize.
    pub interpolation: Interpolation,
    /// Mean of red, green and blue.
    pub mean: [f64; 3],
    /// Standard deviation of red, green and blue.
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

    /// Bicubic; pixels from -1 to 1, as Inception was trained.
    pub const fn inception(crop_pct: f64) -> Preprocessing {
        Preprocessing { crop_pct, interpolation: Interpolation::Bicubic, mean: [0.5; 3], std: [0.5; 3] }
    }
}
