//! Mirroring left to right.

use rand::{Rng, RngExt as _};

use crate::data::Picture;

/// Whether to mirror: every other time.
pub fn draw(rng: &mut dyn Rng) -> bool {
    rng.random_bool(0.5)
}

/// Mirrors a picture left to right.
pub fn mirror(picture: &mut Picture) {
    for row in picture.levels.chunks_exact_mut((picture.width * picture.channels).max(1)) {
        match picture.channels {
            3 => row.as_chunks_mut::<3>().0.reverse(),
            _ => row.reverse(),
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
