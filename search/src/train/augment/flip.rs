//! Mirroring left to right.

use rand::{Rng, RngExt as _};

use crate::data::Picture;

/// Whether to mirror: every other time.
pub fn draw(rng: &mut dyn Rng) -> bool {
    rng.random_bool(0.5)
}

/// Mirrors a picture left to right.
pub fn mirror(picture: &mut Picture) {
    let c = picture.channels;
    for row in picture.levels.chunks_exact_mut((picture.width * c).max(1)) {
        let (mut left, mut right) = (0, picture.width);
        while left + 1 < right {
            right -= 1;
            for k in 0..c {
                row.swap(left * c + k, right * c + k);
            }
            left += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_stay_whole() {
        let mut p = Picture { width: 3, height: 2, channels: 3, levels: (0..18).collect() };
        mirror(&mut p);
        assert_eq!(p.levels, [6, 7, 8, 3, 4, 5, 0, 1, 2, 15, 16, 17, 12, 13, 14, 9, 10, 11]);
        let mut p = Picture { width: 4, height: 1, channels: 1, levels: (0..4).collect() };
        mirror(&mut p);
        assert_eq!(p.levels, [3, 2, 1, 0]);
    }
}
