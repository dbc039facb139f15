//! Changes of levels by a table, with Pillow's arithmetic, level for level.

use crate::Picture;

type Table = [u8; 256];

/// Replaces each level by the table's.
fn replace(picture: &mut Picture, table: &Table) {
    picture.levels.iter_mut().for_each(|l| *l = table[usize::from(*l)]);
}

/// Replaces each channel's levels by a table made of how often they occur.
fn by_channel(picture: &mut Picture, table: impl Fn(&[u32; 256]) -> Table) {
    let channels = picture.channels;
    for channel in 0..channels {
        let mut often = [0u32; 256];
        for pixel in picture.levels.chunks_exact(channels) {
            often[usize::from(pixel[channel])] += 1;
        }
        let table = table(&often);
        picture.levels.iter_mut().skip(channel).step_by(channels).for_each(|l| *l = table[usize::from(*l)]);
    }
}

fn same() -> Table {
    std::array::from_fn(|l| l as u8)
}

/// Stretches each channel from its darkest level to its brightest over all levels.
pub fn auto_contrast(picture: &mut Picture) {
    by_channel(picture, |often| {
        let (first, last) = (often.iter().position(|n| *n > 0), often.iter().rposition(|n| *n > 0));
        match (first, last) {
            (Some(low), Some(high)) if low < high => {
                let scale = 255.0 / (high - low) as f64;
                let offset = -(low as f64) * scale;
                std::array::from_fn(|l| (l as f64 * scale + offset).clamp(0.0, 255.0) as u8)
            }
            _ => same(),
        }
    });
}

/// Spreads each channel's levels so that all are about equally frequent.
pub fn equalize(picture: &mut Picture) {
    by_channel(picture, |often| {
        let last = often.iter().rfind(|n| **n > 0).copied().unwrap_or(0);
        let step = (often.iter().sum::<u32>() - last) / 255;
        if step == 0 {
            return same();
        }
        let mut n = step / 2;
        std::array::from_fn(|l| {
            let level = (n / step).min(255) as u8;
            n += often[l];
            level
        })
    });
}

/// Dark becomes bright.
pub fn invert(picture: &mut Picture) {
    replace(picture, &std::array::from_fn(|l| 255 - l as u8));
}

/// Inverts the levels from `from` on; 256 changes nothing.
pub fn solarize(picture: &mut Picture, from: u32) {
    replace(picture, &std::array::from_fn(|l| if (l as u32) < from { l as u8 } else { 255 - l as u8 }));
}

/// Brightens the darker half of the levels.
pub fn solarize_add(picture: &mut Picture, add: u8) {
    replace(picture, &std::array::from_fn(|l| if l < 128 { (l as u8).saturating_add(add) } else { l as u8 }));
}

/// Keeps the highest bits of each level: 8 changes nothing, 0 is black.
pub fn posterize(picture: &mut Picture, bits: u32) {
    let mask = (0xff00u32 >> bits.min(8)) as u8;
    replace(picture, &std::array::from_fn(|l| l as u8 & mask));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(levels: &[u8], channels: usize, change: impl Fn(&mut Picture)) -> Vec<u8> {
        let mut p = Picture { width: levels.len() / channels, height: 1, channels, levels: levels.to_vec() };
        change(&mut p);
        p.levels
    }

    #[test]
    fn by_hand() {
        assert_eq!(after(&[50, 60, 70], 1, auto_contrast), [0, 127, 255]);
        assert_eq!(after(&[50, 9, 1, 60, 9, 3], 3, auto_contrast), [0, 9, 0, 255, 9, 255], "each channel by itself");
        assert_eq!(after(&[0, 127, 128, 255], 1, invert), [255, 128, 127, 0]);
        assert_eq!(after(&[0, 127, 128, 255], 1, |p| solarize(p, 128)), [0, 127, 127, 0]);
        assert_eq!(after(&[7, 255], 1, |p| solarize(p, 256)), [7, 255]);
        assert_eq!(after(&[0, 100, 127, 128, 255], 1, |p| solarize_add(p, 110)), [110, 210, 237, 128, 255]);
        assert_eq!(after(&[0, 100, 255], 1, |p| posterize(p, 2)), [0, 64, 192]);
        assert_eq!(after(&[3, 255], 1, |p| posterize(p, 8)), [3, 255]);
        assert_eq!(after(&[3, 255], 1, |p| posterize(p, 0)), [0, 0]);
    }

    #[test]
    fn equalized_levels_are_pillows() {
        // 600 pixels of levels 10 and 20, and 200 of 30: a step of (1400 - 200) / 255 = 4.
        let levels: Vec<u8> = [(10, 600), (20, 600), (30, 200)].iter().flat_map(|(l, n)| vec![*l; *n]).collect();
        let out = after(&levels, 1, equalize);
        assert_eq!([out[0], out[600], out[1200]], [0, 150, 255]);
        assert_eq!(after(&[1, 2, 3], 1, equalize), [1, 2, 3], "too few pixels");
    }
}
