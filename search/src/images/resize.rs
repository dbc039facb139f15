//! Resizing with Pillow's arithmetic, level for level: the published networks were scored on its images. A row's weights are
//! the kernel's, widened by the factor of shrinking and normalised, in fixed point; rows first, then columns, each rounded
//! to whole levels. Only the part that is kept is made, from an area of the image.

use std::ops::Range;

use mobilenas_space::families::Interpolation;
use pulp::Arch;

use super::Area;

/// Bits behind the point of a weight.
const BITS: u32 = 22;

/// Weights of the levels that each new level of an axis is made of.
#[derive(Default)]
struct Taps {
    /// First level of each, and where its weights begin.
    at: Vec<(usize, usize)>,
    weights: Vec<i32>,
}

impl Taps {
    /// First level and weights of each new level.
    #[inline(always)]
    fn each(&self) -> impl Iterator<Item = (usize, &[i32])> {
        let ends = self.at.iter().skip(1).map(|a| a.1).chain([self.weights.len()]);
        self.at.iter().zip(ends).map(|(&(first, from), end)| (first, &self.weights[from..end]))
    }

    /// The old levels that are needed at all.
    fn needed(&self) -> Range<usize> {
        let of = |(first, w): (usize, &[i32])| (first, first + w.len());
        let (from, to) = self.each().map(of).fold((usize::MAX, 0), |(a, b), (c, d)| (a.min(c), b.max(d)));
        from.min(to)..to
    }
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
fn taps(from: u32, to: u32, part: Range<u32>, how: Interpolation) -> Taps {
    let scale = f64::from(from) / f64::from(to);
    let widened = scale.max(1.0);
    let reach = widened * if how == Interpolation::Bicubic { 2.0 } else { 1.0 };
    let inverse = 1.0 / widened;
    let (mut all, mut raw) = (Taps::default(), Vec::new());
    for i in part {
        let centre = (f64::from(i) + 0.5) * scale;
        let first = (centre - reach + 0.5).max(0.0) as usize;
        let end = ((centre + reach + 0.5) as usize).min(from as usize);
        raw.clear();
        raw.extend((first..end).map(|j| kernel(how, (j as f64 - centre + 0.5) * inverse)));
        let sum: f64 = raw.iter().sum();
        all.at.push((first, all.weights.len()));
        all.weights.extend(raw.iter().map(|w| (w / sum * f64::from(1u32 << BITS)).round() as i32));
    }
    all
}

/// Back from fixed point to a level.
#[inline(always)]
fn level(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

/// The sums begin at one half, so that levels are rounded. They cannot overflow: a kernel's weights come to 1, and the
/// sizes of them to less than 2.
const HALF: i32 = 1 << (BITS - 1);

/// One row of pixels, four numbers each of which `C` are levels, resized into `out`.
#[inline(always)]
fn along_row<const C: usize>(row: &[[i32; 4]], taps: &Taps, out: &mut [u8]) {
    for ((first, weights), out) in taps.each().zip(out.chunks_exact_mut(C)) {
        let mut sums = [HALF; 4];
        for (pixel, w) in row[first..].iter().zip(weights) {
            for k in 0..4 {
                sums[k] = sums[k].wrapping_add(pixel[k].wrapping_mul(*w));
            }
        }
        for k in 0..C {
            out[k] = level(sums[k]);
        }
    }
}

/// Rows of an image, resized in the other direction: one new row of the levels from `first` on.
#[inline(always)]
fn along_columns(lines: &[u8], weights: &[i32], sums: &mut [i32], out: &mut [u8]) {
    sums.fill(HALF);
    for (line, w) in lines.chunks_exact(sums.len()).zip(weights) {
        for (sum, p) in sums.iter_mut().zip(line) {
            *sum = sum.wrapping_add(i32::from(*p).wrapping_mul(*w));
        }
    }
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = level(*sum);
    }
}

/// An area of an image.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    /// Levels of the whole image, row by row, pixel by pixel.
    pub levels: &'a [u8],
    /// Columns of the whole image.
    pub width: usize,
    /// Levels of a pixel: 1 or 3.
    pub channels: usize,
    /// The area, within the image.
    pub area: Area,
}

/// The part of `part` pixels from `corner` on, of an area resized to `size`; black where there is nothing.
pub(super) fn resized_part(
    from: Source<'_>,
    size: (u32, u32),
    corner: (u32, u32),
    part: (u32, u32),
    how: Interpolation,
) -> Vec<u8> {
    match from.channels {
        1 => resized::<1>(from, size, corner, part, how),
        _ => resized::<3>(from, size, corner, part, how),
    }
}

fn resized<const C: usize>(
    from: Source<'_>,
    size: (u32, u32),
    corner: (u32, u32),
    part: (u32, u32),
    how: Interpolation,
) -> Vec<u8> {
    let Area { x, y, width, height } = from.area;
    let stride = C * part.0 as usize;
    let mut out = vec![0; stride * part.1 as usize];
    if width == 0 || height == 0 || out.is_empty() {
        return out;
    }
    let columns = taps(width, size.0, corner.0..corner.0 + part.0, how);
    let rows = taps(height, size.1, corner.1..corner.1 + part.1, how);
    let (needed, across) = (rows.needed(), columns.needed());
    let arch = Arch::new();
    let mut lanes = vec![[0; 4]; across.end];
    let mut narrow = vec![0; stride * needed.len()];
    arch.dispatch(|| {
        for (line, narrow) in needed.clone().zip(narrow.chunks_exact_mut(stride)) {
            let begin = C * ((y as usize + line) * from.width + x as usize);
            let levels = &from.levels[begin..begin + C * across.end];
            for (lane, pixel) in lanes.iter_mut().zip(levels.chunks_exact(C)).skip(across.start) {
                for k in 0..C {
                    lane[k] = i32::from(pixel[k]);
                }
            }
            along_row::<C>(&lanes, &columns, narrow);
        }
    });
    let mut sums = vec![0; stride];
    arch.dispatch(|| {
        for ((first, weights), out) in rows.each().zip(out.chunks_exact_mut(stride)) {
            along_columns(&narrow[stride * (first - needed.start)..], weights, &mut sums, out);
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An area in the middle gives what the same pixels give as an image of their own, whether they shrink or grow.
    #[test]
    fn an_area_is_resized_as_if_it_were_alone() {
        for channels in [1, 3] {
            let (width, height) = (23, 17);
            let levels: Vec<u8> = (0..width * height * channels).map(|i| (i * i * 31 % 251) as u8).collect();
            let area = Area { x: 5, y: 3, width: 11, height: 9 };
            let rows = levels.chunks_exact(width * channels).skip(3).take(9);
            let alone: Vec<u8> = rows.flat_map(|row| &row[5 * channels..16 * channels]).copied().collect();
            let whole = Area { x: 0, y: 0, ..area };
            for how in [Interpolation::Bilinear, Interpolation::Bicubic] {
                for size in [(4, 5), (11, 3), (30, 26)] {
                    let part = |levels: &[u8], width, area| {
                        resized_part(Source { levels, width, channels, area }, size, (0, 0), size, how)
                    };
                    let found = part(&levels, width, area);
                    assert_eq!(found.len(), channels * (size.0 * size.1) as usize);
                    assert_eq!(found, part(&alone, 11, whole), "{channels} channels to {size:?}, {how:?}");
                }
            }
        }
    }

    /// A grey image is each channel of the coloured one that repeats it, and one level stays one level.
    #[test]
    fn channels_do_not_mix() {
        let grey: Vec<u8> = (0..12 * 10).map(|i| (i * 7 % 256) as u8).collect();
        let coloured: Vec<u8> = grey.iter().flat_map(|l| [*l, 255 - *l, 90]).collect();
        let area = Area { x: 1, y: 2, width: 10, height: 7 };
        let part = |levels: &[u8], channels| {
            let from = Source { levels, width: 12, channels, area };
            resized_part(from, (6, 6), (0, 0), (6, 6), Interpolation::Bilinear)
        };
        let (one, three) = (part(&grey, 1), part(&coloured, 3));
        assert!(one.iter().zip(three.chunks_exact(3)).all(|(g, rgb)| *g == rgb[0] && rgb[2] == 90));
        assert!(one.iter().any(|l| *l != one[0]));
    }
}
