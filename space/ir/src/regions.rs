//! Regions of an image on the levels of a pyramid: the numbers of [`Op::Regions`](crate::Op::Regions), as mmdetection has
//! them (RoIAlign, aligned, with as many samples as a bin has positions).
//!
//! The mean of a bin's samples is a weighted sum over positions of the map, and its weights are products of weights of rows
//! and weights of columns.

/// Side of a region in pixels from which on it belongs to the second level.
const FINEST: f64 = 56.0;

/// Left, top, right and bottom in pixels.
pub type Corners = [f64; 4];

/// The level of a pyramid that a region is cut from.
pub fn level([x1, y1, x2, y2]: Corners, levels: usize) -> usize {
    let side = ((x2 - x1) * (y2 - y1)).sqrt();
    // A region without area is none, and belongs to the first.
    let level = (side / FINEST + 1e-6).log2().floor();
    (level.max(0.0) as usize).min(levels.saturating_sub(1))
}

/// Positions along one axis with their weights, for each bin of a region.
type Axis = Vec<Vec<(usize, f64)>>;

/// The weights of an axis of `size` positions, of a region from `from` to `to` in their unit.
fn axis(from: f64, to: f64, size: usize, bins: usize) -> Axis {
    // A position's value is that of its middle.
    let (from, bin) = (from - 0.5, (to - from) / bins as f64);
    let samples = bin.ceil().max(0.0) as usize;
    let one = |i: usize| {
        let mut taps: Vec<(usize, f64)> = Vec::new();
        let mut add = |at: usize, weight: f64| match taps.iter_mut().find(|(i, _)| *i == at) {
            Some(tap) => tap.1 += weight,
            None => taps.push((at, weight)),
        };
        for k in 0..samples {
            let at = from + i as f64 * bin + (k as f64 + 0.5) * bin / samples as f64;
            if size == 0 || at < -1.0 || at > size as f64 {
                continue;
            }
            let at = at.max(0.0);
            let (low, share) = (at as usize, 1.0 / samples as f64);
            if low + 1 >= size {
                add(size - 1, share);
            } else {
                let part = at - low as f64;
                add(low, (1.0 - part) * share);
                add(low + 1, part * share);
            }
        }
        taps
    };
    (0..bins).map(one).collect()
}

/// Calls `each` with every bin of a region on a map of (rows, columns), row by row: with the positions it is made of, as
/// row * columns + column, and their weights. Positions of the map are `stride` pixels apart.
pub fn bins(
    [x1, y1, x2, y2]: Corners,
    stride: f64,
    (rows, columns): (usize, usize),
    side: usize,
    mut each: impl FnMut(&mut dyn Iterator<Item = (usize, f64)>),
) {
    let down = axis(y1 / stride, y2 / stride, rows, side);
    let across = axis(x1 / stride, x2 / stride, columns, side);
    for row in &down {
        for column in &across {
            let mut products =
                row.iter().flat_map(|(y, wy)| column.iter().map(move |(x, wx)| (y * columns + x, wy * wx)));
            each(&mut products);
        }
    }
}

/// Regions where nobody names any, as when a network is timed: spread evenly over an image of (height, width), of sides from
/// a quarter of the finest level's to the whole image.
pub fn spread(count: u32, (height, width): (f64, f64)) -> Vec<Corners> {
    // Roots of the plastic number: points that fill the square evenly.
    let part = |i: u32, by: f64| (0.5 + f64::from(i) * by).fract();
    let whole = height.min(width);
    let one = |i| {
        let side = whole * (FINEST / 4.0 / whole).min(1.0).powf(part(i, 0.618_033_988_749_894_9));
        let (x, y) =
            ((width - side) * part(i, 0.754_877_666_246_692_8), (height - side) * part(i, 0.569_840_290_998_053_3));
        [x, y, x + side, y + side]
    };
    (0..count).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_octaves() {
        let of = |side: f64| level([3.0, 5.0, 3.0 + side, 5.0 + side], 4);
        assert_eq!([0.0, 50.0, 111.9, 112.0, 224.0, 448.0, 4000.0].map(of), [0, 0, 0, 1, 2, 3, 3]);
        assert_eq!(level([0.0, 0.0, 28.0, 448.0], 4), 1);
    }

    /// On a map whose value is linear in its place, a bin has the value of its middle.
    #[test]
    fn a_bin_is_the_mean_of_what_is_inside() {
        let (rows, columns, stride) = (20, 30, 4.0);
        let region = [9.0, 11.0, 73.0, 53.0];
        let mut found = Vec::new();
        bins(region, stride, (rows, columns), 7, |taps| {
            let (mut sum, mut y, mut x) = (0.0, 0.0, 0.0);
            for (at, weight) in taps {
                sum += weight;
                y += weight * ((at / columns) as f64 + 0.5) * stride;
                x += weight * ((at % columns) as f64 + 0.5) * stride;
            }
            found.push([sum, y, x]);
        });
        for (i, [sum, y, x]) in found.iter().enumerate() {
            let middle = [11.0 + 6.0 * ((i / 7) as f64 + 0.5), 9.0 + 64.0 / 7.0 * ((i % 7) as f64 + 0.5)];
            assert!((sum - 1.0).abs() < 1e-12 && (y - middle[0]).abs() < 1e-9 && (x - middle[1]).abs() < 1e-9);
        }
        assert_eq!(found.len(), 49);
    }

    #[test]
    fn what_is_outside_has_no_value() {
        let mut weights = Vec::new();
        bins([-40.0, 0.0, -20.0, 8.0], 4.0, (5, 5), 1, |taps| weights.push(taps.count()));
        bins([8.0, 8.0, 8.0, 8.0], 4.0, (5, 5), 1, |taps| weights.push(taps.count()));
        assert_eq!(weights, [0, 0]);
        bins([16.0, 16.0, 20.0, 20.0], 4.0, (5, 5), 1, |taps| assert_eq!(taps.collect::<Vec<_>>(), [(24, 1.0)]));
    }

    #[test]
    fn regions_that_nobody_names_are_inside() {
        let all = spread(100, (100.0, 300.0));
        assert_eq!(all.len(), 100);
        assert!(all.iter().all(|[x1, y1, x2, y2]| *x1 >= 0.0 && *y1 >= 0.0 && *x2 <= 300.0 && *y2 <= 100.0));
        assert!(all.iter().all(|[x1, _, x2, _]| (13.9..=100.0).contains(&(x2 - x1))));
    }
}
