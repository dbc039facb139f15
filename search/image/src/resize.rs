//! Resizing with Pillow's arithmetic, level for level: the published networks were scored on its images. A row's weights are
//! the kernel's, widened by the factor of shrinking and normalised, in fixed point; rows first, then columns, each rounded
//! to whole levels. Only the part that is kept is made.

use std::ops::Range;

use image::RgbImage;
use mobilenas_space::families::Interpolation;

/// Bits behind the point of a weight.
const BITS: u32 = 22;

/// Weights of the levels that one new level is made of.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

fn kernel(how: Interpolation, x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    match how {
        Interpolation::Bilinear => (1.0 - x).max(0.0),
        Interpolation::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        Interpolation::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        Interpolation::Bicubic => 0.0,
    }
}

/// Those of the levels `part` of an axis that is resized.
fn taps(from: u32, to: u32, part: Range<u32>, how: Interpolation) -> Vec<Taps> {
    let scale = f64::from(from) / f64::from(to);
    let widened = scale.max(1.0);
    let reach = widened * if how == Interpolation::Bicubic { 2.0 } else { 1.0 };
    let of = |i: u32| {
        let centre = (f64::from(i) + 0.5) * scale;
        let first = (centre - reach + 0.5).max(0.0) as usize;
        let end = ((centre + reach + 0.5) as usize).min(from as usize);
        let inverse = 1.0 / widened;
        let weight = |j: usize| kernel(how, (j as f64 - centre + 0.5) * inverse);
        let raw: Vec<f64> = (first..end).map(weight).collect();
        let sum: f64 = raw.iter().sum();
        let fixed = |w: &f64| (w / sum * f64::from(1u32 << BITS)).round() as i32;
        Taps { first, weights: raw.iter().map(fixed).collect() }
    };
    part.map(of).collect()
}

/// Back from fixed point to a level.
fn level(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

/// The sums begin at one half, so that levels are rounded. They cannot overflow: a kernel's weights come to 1, and the
/// sizes of them to less than 2.
const HALF: i32 = 1 << (BITS - 1);

fn along_rows(data: &[u8], width: usize, taps: &[Taps]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() / width * taps.len());
    for row in data.chunks_exact(3 * width) {
        for t in taps {
            let mut sums = [HALF; 3];
            for (pixel, w) in row[3 * t.first..].chunks_exact(3).zip(&t.weights) {
                for (sum, p) in sums.iter_mut().zip(pixel) {
                    *sum = sum.wrapping_add(i32::from(*p).wrapping_mul(*w));
                }
            }
            out.extend(sums.map(level));
        }
    }
    out
}

/// `above` rows of the image are not in `data`.
fn along_columns(data: &[u8], width: usize, above: usize, taps: &[Taps]) -> Vec<u8> {
    let row = 3 * width;
    let mut out = Vec::with_capacity(row * taps.len());
    let mut sums = vec![HALF; row];
    for t in taps {
        sums.fill(HALF);
        for (line, w) in data[row * (t.first - above)..].chunks_exact(row).zip(&t.weights) {
            for (sum, p) in sums.iter_mut().zip(line) {
                *sum = sum.wrapping_add(i32::from(*p).wrapping_mul(*w));
            }
        }
        out.extend(sums.iter().map(|s| level(*s)));
    }
    out
}

/// The `side` x `side` pixels from `corner` of an image resized to `size`.
pub(super) fn resized_part(
    image: &RgbImage,
    size: (u32, u32),
    corner: (u32, u32),
    side: u32,
    how: Interpolation,
) -> RgbImage {
    let (width, height) = image.dimensions();
    if width == 0 || height == 0 {
        return RgbImage::new(side, side);
    }
    let columns = taps(width, size.0, corner.0..corner.0 + side, how);
    let rows = taps(height, size.1, corner.1..corner.1 + side, how);
    let (above, below) = rows
        .iter()
        .fold((height as usize, 0), |(above, below), t| (above.min(t.first), below.max(t.first + t.weights.len())));
    let stride = 3 * width as usize;
    let needed = &image.as_raw()[above * stride..below.max(above) * stride];
    let narrow = along_rows(needed, width as usize, &columns);
    let data = along_columns(&narrow, side as usize, above, &rows);
    RgbImage::from_raw(side, side, data).unwrap_or_else(|| RgbImage::new(side, side))
}
