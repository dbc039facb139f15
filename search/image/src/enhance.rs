//! Changes of a picture's levels with Pillow's arithmetic, level for level: each goes from a duller picture (factor 0)
//! through the picture itself (factor 1) beyond it.

use crate::Picture;

/// A pixel's grey level, by the weights of ITU-R 601.
pub fn grey(pixel: &[u8]) -> u8 {
    match pixel {
        [r, g, b] => ((u32::from(*r) * 19595 + u32::from(*g) * 38470 + u32::from(*b) * 7471 + 0x8000) >> 16) as u8,
        _ => pixel[0],
    }
}

/// From `dull` through `level` beyond it; whole levels are cut off, not rounded.
pub fn blend(dull: u8, level: u8, factor: f32) -> u8 {
    let mixed = f32::from(dull) + factor * (f32::from(level) - f32::from(dull));
    mixed.clamp(0.0, 255.0) as u8
}

/// From black.
pub fn brightness(picture: &mut Picture, factor: f32) {
    let table: [u8; 256] = std::array::from_fn(|l| blend(0, l as u8, factor));
    picture.levels.iter_mut().for_each(|l| *l = table[usize::from(*l)]);
}

/// From the mean grey level, rounded.
pub fn contrast(picture: &mut Picture, factor: f32) {
    let pixels = picture.levels.chunks_exact(picture.channels);
    let (n, sum) = (pixels.len().max(1) as f64, pixels.map(|p| u64::from(grey(p))).sum::<u64>());
    let mean = (sum as f64 / n + 0.5) as u8;
    let table: [u8; 256] = std::array::from_fn(|l| blend(mean, l as u8, factor));
    picture.levels.iter_mut().for_each(|l| *l = table[usize::from(*l)]);
}

/// From grey: a pixel keeps its grey level. Grey pictures stay as they are.
pub fn saturation(picture: &mut Picture, factor: f32) {
    if picture.channels == 1 {
        return;
    }
    for pixel in picture.levels.chunks_exact_mut(picture.channels) {
        let dull = grey(pixel);
        pixel.iter_mut().for_each(|l| *l = blend(dull, *l, factor));
    }
}

/// From a smoothed picture; the outermost pixels stay as they are.
pub fn sharpness(picture: &mut Picture, factor: f32) {
    let (w, h, c) = (picture.width, picture.height, picture.channels);
    if w < 3 || h < 3 {
        return;
    }
    let (before, row) = (picture.levels.clone(), w * c);
    for y in 1..h - 1 {
        for at in y * row + c..(y + 1) * row - c {
            let around = |from: usize| [from - c, from, from + c].iter().map(|i| u32::from(before[*i])).sum::<u32>();
            // Each neighbour once and the pixel itself five times, rounded.
            let sum = around(at - row) + around(at) + around(at + row) + 4 * u32::from(before[at]);
            picture.levels[at] = blend(((2 * sum + 13) / 26) as u8, before[at], factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(change: fn(&mut Picture, f32), factor: f32) -> Vec<u8> {
        let mut p = Picture { width: 2, height: 1, channels: 3, levels: vec![10, 100, 200, 250, 40, 0] };
        change(&mut p, factor);
        p.levels
    }

    #[test]
    fn factor_one_changes_nothing() {
        for change in [brightness, contrast, saturation, sharpness] {
            assert_eq!(after(change, 1.0), [10, 100, 200, 250, 40, 0]);
        }
    }

    #[test]
    fn by_hand() {
        assert_eq!(after(brightness, 0.5), [5, 50, 100, 125, 20, 0]);
        assert_eq!(after(brightness, 1.5), [15, 150, 255, 255, 60, 0]);
        // Grey levels 84 and 98: a mean of 91.
        assert_eq!(after(contrast, 0.0), [91; 6]);
        assert_eq!(after(contrast, 2.0), [0, 109, 255, 255, 0, 0]);
        assert_eq!(after(saturation, 0.0), [84, 84, 84, 98, 98, 98]);
    }
    #[test]
    fn sharpness_moves_the_inner_pixels_away_from_their_neighbours() {
        let grey = |factor| {
            let mut p = Picture { width: 3, height: 3, channels: 1, levels: vec![10, 10, 10, 10, 101, 10, 10, 10, 10] };
            sharpness(&mut p, factor);
            p.levels
        };
        // (8 * 10 + 5 * 101) / 13 = 45
        assert_eq!(grey(0.0), [10, 10, 10, 10, 45, 10, 10, 10, 10]);
        assert_eq!(grey(0.5)[4], 73);
        assert_eq!(grey(1.5)[4], 129);
    }
}
