//! Masks of regions: from the mask of an object, and into an image.

use mobilenas_space::ir::regions::bins;

use crate::BBox;
use crate::mask::Rle;

/// What a region of `side` x `side` numbers is trained to give: 1 where at least half of it lies in the mask.
pub fn cut_mask(mask: &Rle, region: &BBox, side: usize) -> Vec<f64> {
    let (levels, size) = (mask.decode(), (mask.height(), mask.width()));
    let mut cut = Vec::with_capacity(side * side);
    bins(region.xyxy(), 1.0, size, side, |taps| {
        let inside: f64 = taps.map(|(at, weight)| weight * f64::from(levels[at])).sum();
        cut.push(f64::from(u8::from(inside >= 0.5)));
    });
    cut
}

/// The mask of (width, height) pixels of a box there, from `side` x `side` probabilities: between them it is bilinear, and
/// beyond them they are 0.
pub fn pasted(probabilities: &[f64], side: usize, bbox: &BBox, (width, height): (usize, usize), threshold: f64) -> Rle {
    let mut levels = vec![0u8; width * height];
    let at = |pixel: usize, from: f64, to: f64| (pixel as f64 + 0.5 - from) / (to - from) * side as f64 - 0.5;
    // A pixel further out than the first number's reach has none.
    let reach = |from: f64, to: f64, size: usize| {
        let margin = 0.5 * (to - from) / side as f64 + 1.0;
        let bound = |v: f64| v.clamp(0.0, size as f64) as usize;
        bound((from - margin).floor())..bound((to + margin).ceil())
    };
    let corner = |y: f64, x: f64| {
        let inside = |v: f64| v >= 0.0 && v < side as f64;
        if inside(y) && inside(x) { probabilities[y as usize * side + x as usize] } else { 0.0 }
    };
    if bbox.width() > 0.0 && bbox.height() > 0.0 {
        for row in reach(bbox.y1, bbox.y2, height) {
            let y = at(row, bbox.y1, bbox.y2);
            let (top, down) = (y.floor(), y - y.floor());
            for column in reach(bbox.x1, bbox.x2, width) {
                let x = at(column, bbox.x1, bbox.x2);
                let (left, across) = (x.floor(), x - x.floor());
                let upper = corner(top, left) * (1.0 - across) + corner(top, left + 1.0) * across;
                let lower = corner(top + 1.0, left) * (1.0 - across) + corner(top + 1.0, left + 1.0) * across;
                let value = upper * (1.0 - down) + lower * down;
                levels[row * width + column] = u8::from(value >= threshold);
            }
        }
    }
    Rle::encode(&levels, width, height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_comes_back_from_its_region() {
        let levels: Vec<u8> =
            (0..400).map(|i| u8::from((6..14).contains(&(i / 20)) && (4..16).contains(&(i % 20)))).collect();
        let mask = Rle::encode(&levels, 20, 20);
        let region = BBox::new(2.0, 2.0, 18.0, 18.0);
        let cut = cut_mask(&mask, &region, 16);
        assert_eq!(cut.iter().sum::<f64>(), 96.0);
        assert_eq!(pasted(&cut, 16, &region, (20, 20), 0.5), mask);
        // A quarter of the numbers, each of four pixels.
        let cut = cut_mask(&mask, &region, 8);
        assert_eq!(cut.iter().sum::<f64>(), 24.0);
        let none = pasted(&cut, 8, &BBox::default(), (20, 20), 0.5);
        assert_eq!(none.area(), 0);
        // Of one number that is half gone at its box's edges, a pixel is left.
        assert_eq!(pasted(&[1.0], 1, &BBox::new(-5.0, -5.0, 3.0, 2.0), (4, 4), 0.5).area(), 1);
    }
}
