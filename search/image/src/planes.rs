//! From levels to a network's values.

use crate::Picture;
use crate::preprocess::Float as _;

/// Writes a picture as `[C, H, W]` values, each `(level / 255 - mean) / std` by its channel's mean and standard deviation.
pub fn planes(picture: &Picture, norm: [(f32, f32); 3], out: &mut [f32]) {
    let size = picture.width * picture.height;
    let tables = norm.map(|(mean, std)| -> [f32; 256] {
        std::array::from_fn(|l| f32::normalised(l as u8, mean.into(), std.into()))
    });
    match picture.channels {
        3 => {
            let (red, rest) = out.split_at_mut(size);
            let (green, blue) = rest.split_at_mut(size);
            let into = red.iter_mut().zip(green).zip(blue);
            for (pixel, ((r, g), b)) in picture.levels.as_chunks::<3>().0.iter().zip(into) {
                *r = tables[0][usize::from(pixel[0])];
                *g = tables[1][usize::from(pixel[1])];
                *b = tables[2][usize::from(pixel[2])];
            }
        }
        _ => out.iter_mut().zip(&picture.levels).for_each(|(o, l)| *o = tables[0][usize::from(*l)]),
    }
}
