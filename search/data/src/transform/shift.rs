//! Padding with black and cutting out again: the picture moves.

use rand::{Rng, RngExt as _};

use mobilenas_image::Picture;

/// By how much to move, down and right, each up to `reach` pixels either way.
pub fn draw(reach: u32, rng: &mut dyn Rng) -> (i64, i64) {
    let reach = i64::from(reach);
    match reach {
        0 => (0, 0),
        _ => (rng.random_range(-reach..=reach), rng.random_range(-reach..=reach)),
    }
}

/// The picture whose pixel (x, y) is the given one's (x + dx, y + dy).
pub fn shifted(picture: &Picture, (dy, dx): (i64, i64)) -> Picture {
    let (w, h) = (picture.width as i64, picture.height as i64);
    let mut out = Picture::black(picture.width, picture.height, picture.channels);
    let (from, to) = ((-dx).clamp(0, w), (w - dx).clamp(0, w));
    if from >= to {
        return out;
    }
    let (c, row) = (picture.channels, picture.width * picture.channels);
    let len = (to - from) as usize * c;
    for y in (-dy).max(0)..(h - dy).min(h) {
        let (into, of) = (y as usize * row + from as usize * c, (y + dy) as usize * row + (from + dx) as usize * c);
        out.levels[into..into + len].copy_from_slice(&picture.levels[of..of + len]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_is_black() {
        let p = Picture { width: 3, height: 2, channels: 1, levels: vec![1, 2, 3, 4, 5, 6] };
        assert_eq!(shifted(&p, (0, 1)).levels, [2, 3, 0, 5, 6, 0]);
        assert_eq!(shifted(&p, (-1, 0)).levels, [0, 0, 0, 1, 2, 3]);
        assert_eq!(shifted(&p, (1, -2)).levels, [0, 0, 4, 0, 0, 0]);
        assert_eq!(shifted(&p, (5, 0)).levels, [0; 6]);
        assert_eq!(shifted(&p, (0, -9)).levels, [0; 6]);
    }
}
