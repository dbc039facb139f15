//! Normalisation of pixel values by the mean and standard deviation of each channel.

use crate::dataset::Dataset;
use mobilenas_image::{Picture, planes};

/// Mean and standard deviation of each channel's levels, in [0, 1]; images are normalised by them.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalization {
    /// Means: of red, green and blue, or of grey alone.
    pub mean: Vec<f32>,
    /// Standard deviations.
    pub std: Vec<f32>,
}

impl Normalization {
    /// For grey images.
    pub fn grey(mean: f32, std: f32) -> Normalization {
        Normalization { mean: vec![mean], std: vec![std] }
    }

    /// For red, green and blue.
    pub fn rgb(mean: [f64; 3], std: [f64; 3]) -> Normalization {
        Normalization { mean: mean.map(|v| v as f32).to_vec(), std: std.map(|v| v as f32).to_vec() }
    }

    /// The means as levels of red, green and blue.
    pub fn mean_levels(&self) -> [u8; 3] {
        let level = |k: usize| self.mean.get(k).or(self.mean.first()).copied().unwrap_or(0.5);
        std::array::from_fn(|k| (255.0 * level(k)).round().clamp(0.0, 255.0) as u8)
    }

    /// Of the images at the given positions; `None` where images are not in memory.
    pub fn of(data: &Dataset, indices: &[usize]) -> Option<Normalization> {
        let all = data.images.memory()?;
        let (mut sum, mut squares) = (vec![0u64; all.channels], vec![0u64; all.channels]);
        for &i in indices {
            for pixel in all.levels(i).chunks_exact(all.channels) {
                for (k, &p) in pixel.iter().enumerate() {
                    sum[k] += u64::from(p);
                    squares[k] += u64::from(p) * u64::from(p);
                }
            }
        }
        let n = (indices.len() * all.height * all.width).max(1) as f64;
        let mean = |k: usize| sum[k] as f64 / n;
        let std = |k: usize| (squares[k] as f64 / n - mean(k) * mean(k)).max(1.0).sqrt();
        let of = |f: &dyn Fn(usize) -> f64| (0..all.channels).map(|k| (f(k) / 255.0) as f32).collect();
        Some(Normalization { mean: of(&mean), std: of(&std) })
    }

    /// Mean and standard deviation of a channel; the last one's beyond it.
    pub fn channel(&self, k: usize) -> (f32, f32) {
        let k = k.min(self.mean.len().saturating_sub(1));
        (self.mean.get(k).copied().unwrap_or(0.0), self.std.get(k).copied().unwrap_or(1.0))
    }

    /// Writes a picture as `[C, H, W]` values, each `(level / 255 - mean) / std`.
    pub fn planes(&self, picture: &Picture, out: &mut [f32]) {
        planes(picture, [0, 1, 2].map(|k| self.channel(k)), out);
    }

    /// Means and standard deviations as words: one number, or three.
    pub fn words(&self) -> [String; 2] {
        let join = |v: &[f32]| v.iter().map(f32::to_string).collect::<Vec<_>>().join(" ");
        [join(&self.mean), join(&self.std)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;
    use crate::dataset::{ImageSource, InMemoryImages};

    #[test]
    fn each_channel_has_its_own() {
        let pixels = vec![0, 100, 5, 200, 100, 6, 9, 9, 9, 9, 9, 9];
        let images = ImageSource::Memory(InMemoryImages { n: 2, height: 1, width: 2, channels: 3, pixels });
        let targets = vec![Target::Class(0); 2];
        let data = Dataset { images, targets, classes: vec!["a".into()], ..Dataset::default() };
        let norm = Normalization::of(&data, &[0]).unwrap();
        assert_eq!(norm.mean, [100.0 / 255.0, 100.0 / 255.0, 5.5 / 255.0].map(|v: f64| v as f32));
        // A channel that does not vary is not blown up.
        assert_eq!(norm.std, [100.0 / 255.0, 1.0 / 255.0, 1.0 / 255.0].map(|v: f64| v as f32));
        let picture = Picture { width: 2, height: 1, channels: 3, levels: vec![255, 0, 51, 0, 255, 102] };
        let mut out = [0.0; 6];
        Normalization::rgb([0.0, 0.0, 0.2], [1.0, 0.5, 1.0]).planes(&picture, &mut out);
        assert_eq!(out, [1.0, 0.0, 0.0, 2.0, 0.0, 0.4 - 0.2]);
    }
}
