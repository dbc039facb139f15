//! Augmentation of small grey images: each a pure function of the image and a generator.

use rand::{Rng, RngExt};

/// What may happen to a training image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Augment {
    /// Mirror half of the images left to right.
    pub flip: bool,
    /// Move by up to so many pixels along each axis; what comes in is black.
    pub shift: u32,
}

impl Augment {
    /// Nothing happens.
    pub const NONE: Augment = Augment { flip: false, shift: 0 };
}

/// Writes an augmented image of `height` x `width` bytes into `out`, as `(value / 255 - mean) / std`.
pub fn augment(
    image: &[u8],
    (height, width): (usize, usize),
    how: Augment,
    (mean, std): (f32, f32),
    rng: &mut dyn Rng,
    out: &mut [f32],
) {
    let reach = how.shift as i64;
    let mirror = how.flip && rng.random_bool(0.5);
    let (dy, dx) = match reach {
        0 => (0, 0),
        _ => (rng.random_range(-reach..=reach), rng.random_range(-reach..=reach)),
    };
    let inside = |at: i64, size: usize| usize::try_from(at).ok().filter(|a| *a < size);
    for y in 0..height {
        for x in 0..width {
            let column = if mirror { width - 1 - x } else { x };
            let from = inside(y as i64 + dy, height).zip(inside(column as i64 + dx, width));
            let value = from.map_or(0, |(r, c)| image[r * width + c]);
            out[y * width + x] = (f32::from(value) / 255.0 - mean) / std;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Purpose, rng};

    const IMAGE: [u8; 6] = [0, 51, 102, 153, 204, 255];

    fn run(how: Augment, slot: u64) -> Vec<f32> {
        let mut out = vec![0.0; 6];
        augment(&IMAGE, (2, 3), how, (0.0, 1.0), &mut rng(1, Purpose::Augment, 0, slot), &mut out);
        out.iter().map(|v| (v * 5.0).round()).collect()
    }

    #[test]
    fn none_normalises_alone() {
        assert_eq!(run(Augment::NONE, 0), [0., 1., 2., 3., 4., 5.]);
    }

    #[test]
    fn flip_mirrors_some_images_and_leaves_the_others() {
        let seen: Vec<_> = (0..32).map(|s| run(Augment { flip: true, shift: 0 }, s)).collect();
        let (same, mirrored) = ([0., 1., 2., 3., 4., 5.], [2., 1., 0., 5., 4., 3.]);
        assert!(seen.iter().all(|v| *v == same || *v == mirrored));
        assert!(seen.contains(&same.to_vec()) && seen.contains(&mirrored.to_vec()));
    }

    #[test]
    fn shift_moves_by_whole_pixels_and_brings_in_black() {
        let seen: Vec<_> = (0..64).map(|s| run(Augment { flip: false, shift: 1 }, s)).collect();
        assert!(seen.contains(&vec![1., 2., 0., 4., 5., 0.]), "one pixel to the left");
        assert!(seen.contains(&vec![0., 0., 0., 0., 1., 2.]), "one pixel down");
    }

    #[test]
    fn the_same_seed_gives_the_same_image() {
        let how = Augment { flip: true, shift: 2 };
        assert_eq!(run(how, 5), run(how, 5));
    }
}
