//! Polygons as masks, by pycocotools' rule: the outline is drawn on a grid five times as fine, and in each column of
//! pixels every second crossing begins what is inside.

use super::Rle;
use super::rle::damaged;
use crate::DenseError;

/// Fine cells of a pixel's side.
const FINE: f64 = 5.0;
/// Coordinates beyond this are taken for damage.
const FURTHEST: f64 = 1e5;

impl Rle {
    /// The mask of a polygon with the corners x, y, x, y, ... in pixels.
    ///
    /// # Errors
    /// When there are fewer than three corners, or one is no number or very far away.
    pub fn of_polygon(height: usize, width: usize, corners: &[f64]) -> Result<Rle, DenseError> {
        if corners.len() < 6 || corners.len() % 2 == 1 {
            return Err(damaged(format!("a polygon of {} numbers", corners.len()), "x and y of three corners or more"));
        }
        if let Some(strange) = corners.iter().find(|c| c.is_nan() || c.abs() > FURTHEST) {
            return Err(damaged(format!("a corner at {strange}"), format!("pixels up to {FURTHEST}")));
        }
        let crossings = crossings(height, width, &outline(corners));
        let mut ends: Vec<usize> = crossings.into_iter().map(|(x, y)| x * height + y).collect();
        ends.sort_unstable();
        // What is still open at the end goes on to the last pixel.
        let spans = ends.chunks(2).map(|pair| (pair[0], pair.get(1).copied().unwrap_or(height * width)));
        Ok(Rle::of_spans(height, width, spans.filter(|(from, to)| from < to)))
    }

    /// The mask of an object of several polygons.
    ///
    /// # Errors
    /// As for [`Rle::of_polygon`].
    pub fn of_polygons(height: usize, width: usize, polygons: &[Vec<f64>]) -> Result<Rle, DenseError> {
        let parts = polygons.iter().map(|p| Rle::of_polygon(height, width, p)).collect::<Result<Vec<_>, _>>()?;
        Ok(Rle::union(height, width, &parts))
    }
}

/// The fine cells of all edges, each edge from its beginning to its end.
fn outline(corners: &[f64]) -> Vec<(i32, i32)> {
    let fine: Vec<(i32, i32)> = corners.chunks(2).map(|c| (cell(FINE * c[0]), cell(FINE * c[1]))).collect();
    let mut cells = Vec::new();
    for (i, &start) in fine.iter().enumerate() {
        let end = fine[(i + 1) % fine.len()];
        let (dx, dy) = ((end.0 - start.0).abs(), (end.1 - start.1).abs());
        let flat = dx >= dy;
        // Drawn towards rising coordinates, so that both directions give the same cells.
        let back = if flat { start.0 > end.0 } else { start.1 > end.1 };
        let (low, high) = if back { (end, start) } else { (start, end) };
        let long = dx.max(dy);
        let slope =
            if flat { f64::from(high.1 - low.1) / f64::from(dx) } else { f64::from(high.0 - low.0) / f64::from(dy) };
        cells.extend((0..=long).map(|step| {
            let t = if back { long - step } else { step };
            let aside = slope * f64::from(t);
            if flat { (low.0 + t, cell(f64::from(low.1) + aside)) } else { (cell(f64::from(low.0) + aside), low.1 + t) }
        }));
    }
    cells
}

/// Rounded by adding one half and cutting off.
fn cell(v: f64) -> i32 {
    (v + 0.5) as i32
}

/// Where the outline crosses the middle of a column of pixels: the column, and the first row at or below the crossing.
fn crossings(height: usize, width: usize, outline: &[(i32, i32)]) -> Vec<(usize, usize)> {
    let pixel = |fine: i32| (f64::from(fine) + 0.5) / FINE - 0.5;
    let mut found = Vec::new();
    for pair in outline.windows(2) {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        if x0 == x1 {
            continue;
        }
        let x = pixel(if x1 < x0 { x1 } else { x1 - 1 });
        if x.floor() == x && x >= 0.0 && x <= width as f64 - 1.0 {
            let y = pixel(y0.min(y1)).clamp(0.0, height as f64).ceil();
            found.push((x as usize, y as usize));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let square = Rle::of_polygon(4, 5, &[1.0, 1.0, 4.0, 1.0, 4.0, 3.0, 1.0, 3.0]).unwrap();
        assert_eq!(square.decode(), [0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0]);
        let beyond = Rle::of_polygon(2, 3, &[-9.0, -9.0, 99.0, -9.0, 99.0, 99.0, -9.0, 99.0]).unwrap();
        assert_eq!(beyond.runs(), [0, 6]);
        let outside = Rle::of_polygon(2, 3, &[7.0, 7.0, 9.0, 7.0, 9.0, 9.0]).unwrap();
        assert_eq!(outside.runs(), [6]);
    }

    #[test]
    fn damaged_polygons_have_a_message() {
        let said = |corners: &[f64]| Rle::of_polygon(4, 3, corners).unwrap_err().to_string();
        assert_eq!(said(&[1.0; 4]), "mask: found a polygon of 4 numbers, expected x and y of three corners or more");
        assert_eq!(said(&[1.0; 7]), "mask: found a polygon of 7 numbers, expected x and y of three corners or more");
        assert_eq!(
            said(&[1.0, 1.0, f64::NAN, 1.0, 1.0, 2.0]),
            "mask: found a corner at NaN, expected pixels up to 100000"
        );
    }
}
