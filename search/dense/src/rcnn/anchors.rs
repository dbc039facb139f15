//! Anchors of a pyramid's levels.

use super::RcnnRules;
use crate::{BBox, CenterBox, DenseError};

impl RcnnRules {
    /// All anchors in pixels: level by level, row by row, position by position. `levels` are (rows, columns).
    ///
    /// # Errors
    /// When there are not as many levels as strides.
    pub fn anchors(&self, levels: &[(usize, usize)]) -> Result<Vec<BBox>, DenseError> {
        if levels.len() != self.strides.len() {
            let (found, expected) = (format!("{} levels", levels.len()), format!("{}", self.strides.len()));
            return Err(DenseError::Anchors { found, expected });
        }
        let mut all = Vec::new();
        for ((rows, columns), stride) in levels.iter().zip(self.strides) {
            let (stride, side) = (f64::from(*stride), self.scale * f64::from(*stride));
            let shapes: Vec<(f64, f64)> = self.ratios.iter().map(|r| (side / r.sqrt(), side * r.sqrt())).collect();
            for y in 0..*rows {
                for x in 0..*columns {
                    let (cx, cy) = (x as f64 * stride, y as f64 * stride);
                    all.extend(shapes.iter().map(|&(w, h)| CenterBox { cx, cy, w, h }.corners()));
                }
            }
        }
        Ok(all)
    }

    /// The number of anchors of each level.
    pub fn per_level(&self, levels: &[(usize, usize)]) -> Vec<usize> {
        levels.iter().map(|(rows, columns)| rows * columns * self.ratios.len()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_are_centred_on_corners_of_cells() {
        let levels = [(2, 3), (1, 2), (1, 1), (1, 1), (1, 1)];
        let rules = RcnnRules::MMDETECTION;
        let all = rules.anchors(&levels).unwrap();
        assert_eq!(rules.per_level(&levels), [18, 6, 3, 3, 3]);
        assert_eq!(all.len(), 33);
        assert_eq!(all[1], BBox::new(-16.0, -16.0, 16.0, 16.0));
        assert_eq!(all[4].center(), (4.0, 0.0));
        let (flat, tall) = (all[18], all[20]);
        assert!((flat.width() - 2.0 * flat.height()).abs() < 1e-9 && (tall.height() - 2.0 * tall.width()).abs() < 1e-9);
        assert!((flat.area() - 4096.0).abs() < 1e-9);
        assert!(rules.anchors(&levels[1..]).is_err());
    }
}
