//! Augmentation of training images: each kind in a file of its own, a pure function of the image and a generator.

pub mod crop;
pub mod erase;
pub mod flip;
pub mod jitter;
pub mod mix;
pub mod rand_augment;
pub mod shift;

use std::fmt;

use mobilenas_dense::transform::DenseTransform;
use rand::Rng;

use crate::loader::Normalization;
use mobilenas_image::Picture;

/// What may happen to a training image, in this order: cut out, moved, mirrored, coloured; then, normalised, erased. What
/// happens to a whole batch stands last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Augment {
    /// Random resized crop.
    pub crop: Option<crop::Crop>,
    /// Mirror half of the images left to right.
    pub flip: bool,
    /// Move by up to so many pixels along each axis; what comes in is black.
    pub shift: u32,
    /// RandAugment.
    pub rand: Option<rand_augment::RandAugment>,
    /// Colour jitter's strength; 0 is off. RandAugment changes colours itself: beside it there is none.
    pub color_jitter: f64,
    /// Probability of random erasing.
    pub erase: f64,
    /// MixUp and CutMix.
    pub mix: Option<mix::Mix>,
    /// What happens, instead of all of this, to an image with boxes or a class map.
    pub dense: Option<DenseTransform>,
}

/// What was drawn for one image. All is drawn before anything is done: the crop has to be known before an image is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moves {
    mirror: bool,
    by: (i64, i64),
}

impl Augment {
    /// Draws how an image is mirrored and moved.
    pub fn moves(&self, rng: &mut dyn Rng) -> Moves {
        Moves { mirror: self.flip && flip::draw(rng), by: shift::draw(self.shift, rng) }
    }

    /// Moves, mirrors and colours a picture.
    pub fn levels(&self, mut picture: Picture, moves: Moves, rng: &mut dyn Rng) -> Picture {
        if moves.by != (0, 0) {
            picture = shift::shifted(&picture, moves.by);
        }
        if moves.mirror {
            picture.mirror();
        }
        if let Some(how) = &self.rand {
            how.apply(&mut picture, rng);
        } else if self.color_jitter > 0.0 {
            jitter::jitter(&mut picture, self.color_jitter, rng);
        }
        picture
    }

    /// Writes a picture's levels, normalised, plane by plane, and erases a part.
    pub fn planes(&self, picture: &Picture, norm: &Normalization, rng: &mut dyn Rng, out: &mut [f32]) {
        norm.planes(picture, out);
        if self.erase > 0.0 {
            erase::erase(out, (picture.channels, picture.height, picture.width), self.erase, rng);
        }
    }
}

impl fmt::Display for Augment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.dense {
            Some(DenseTransform::Detection(_)) => return f.write_str("SSD's crop, distortion of colours, flip"),
            Some(DenseTransform::Segmentation(_)) => return f.write_str("resize, flip, crop, distortion of colours"),
            None => {}
        }
        let mut all = Vec::new();
        if let Some(c) = &self.crop {
            all.push(format!("crop of {} to 1 of the area ({})", c.min_area, c.interpolation.name()));
        }
        if self.shift > 0 {
            all.push(format!("shift by up to {}", self.shift));
        }
        if self.flip {
            all.push("flip".to_string());
        }
        match &self.rand {
            Some(how) => all.push(how.to_string()),
            None if self.color_jitter > 0.0 => all.push(format!("colour jitter {}", self.color_jitter)),
            None => {}
        }
        if self.erase > 0.0 {
            all.push(format!("erase {}", self.erase));
        }
        if let Some(m) = &self.mix {
            all.push(format!("MixUp {}, CutMix {}, switched at {}", m.mixup, m.cutmix, m.switch));
        }
        f.write_str(&if all.is_empty() { "no augmentation".to_string() } else { all.join("; ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mobilenas_space::seed::{Purpose, rng};

    fn run(how: &Augment, slot: u64) -> Vec<f32> {
        let picture = Picture { width: 3, height: 2, channels: 1, levels: vec![0, 51, 102, 153, 204, 255] };
        let (mut out, mut rng) = (vec![0.0; 6], rng(1, Purpose::Augment, 0, slot));
        let moves = how.moves(&mut rng);
        let picture = how.levels(picture, moves, &mut rng);
        how.planes(&picture, &Normalization::grey(0.0, 1.0), &mut rng, &mut out);
        out.iter().map(|v| (v * 5.0).round()).collect()
    }

    #[test]
    fn none_normalises_alone() {
        assert_eq!(run(&Augment::default(), 0), [0., 1., 2., 3., 4., 5.]);
    }

    #[test]
    fn flip_mirrors_some_images_and_leaves_the_others() {
        let seen: Vec<_> = (0..32).map(|s| run(&Augment { flip: true, ..Augment::default() }, s)).collect();
        let (same, mirrored) = ([0., 1., 2., 3., 4., 5.], [2., 1., 0., 5., 4., 3.]);
        assert!(seen.iter().all(|v| *v == same || *v == mirrored));
        assert!(seen.contains(&same.to_vec()) && seen.contains(&mirrored.to_vec()));
    }

    #[test]
    fn shift_moves_by_whole_pixels_and_brings_in_black() {
        let seen: Vec<_> = (0..64).map(|s| run(&Augment { shift: 1, ..Augment::default() }, s)).collect();
        assert!(seen.contains(&vec![1., 2., 0., 4., 5., 0.]), "one pixel to the left");
        assert!(seen.contains(&vec![0., 0., 0., 0., 1., 2.]), "one pixel down");
    }

    #[test]
    fn the_same_seed_gives_the_same_image() {
        let how = Augment { flip: true, shift: 2, color_jitter: 0.4, erase: 0.5, ..Augment::default() };
        assert_eq!(run(&how, 5), run(&how, 5));
    }
}
