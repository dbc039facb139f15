//! Anchors (default boxes) of each cell of each feature map.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CenterBox, DenseError};

/// Which anchors each map has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnchorConfig {
    /// The side of each map's square anchor as a part of the image's, and one more: a map's second square has the
    /// geometric mean of its own and the next.
    #[schemars(length(min = 2))]
    pub scales: Vec<f64>,
    /// For each map the ratios of the other anchors; each gives one wide and one tall.
    #[schemars(length(min = 1))]
    pub ratios: Vec<Vec<f64>>,
    /// What is clipped to the image.
    pub clip: AnchorClip,
}

/// What is clipped to [0, 1], in centre form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnchorClip {
    /// Centre and sides, as cvnets does.
    All,
    /// Sides alone, as torchvision does.
    Sides,
}

impl AnchorConfig {
    /// Those of cvnets' SSDLite: six maps, scales from 0.1 to 1.05 in equal steps.
    pub fn cvnets() -> AnchorConfig {
        let mut ratios = vec![vec![2.0, 3.0]; 5];
        ratios.push(vec![2.0]);
        AnchorConfig {
            scales: (0..7).map(|i| 0.1 + 0.95 / 6.0 * f64::from(i)).collect(),
            ratios,
            clip: AnchorClip::All,
        }
    }

    /// Those of torchvision's SSDLite: six maps, scales from 0.2 to 0.95 in equal steps, then 1.
    pub fn torchvision() -> AnchorConfig {
        let (low, high) = (0.2, 0.95);
        let mut scales: Vec<f64> = (0..6).map(|i| low + (high - low) * f64::from(i) / 5.0).collect();
        scales.push(1.0);
        AnchorConfig { scales, ratios: vec![vec![2.0, 3.0]; 6], clip: AnchorClip::Sides }
    }

    /// Anchors of a cell of each map.
    pub fn per_cell(&self) -> Vec<usize> {
        self.ratios.iter().map(|r| 2 + 2 * r.len()).collect()
    }

    /// All anchors, as parts of the image: map by map, row by row, cell by cell. `maps` are (rows, columns).
    ///
    /// # Errors
    /// When there are not as many maps as ratios, or not one more scale.
    pub fn anchors(&self, maps: &[(usize, usize)]) -> Result<Vec<CenterBox>, DenseError> {
        if self.ratios.len() != maps.len() || self.scales.len() != maps.len() + 1 {
            return Err(DenseError::Anchors {
                found: format!("{} lists of ratios and {} scales", self.ratios.len(), self.scales.len()),
                expected: format!("{} and {}, for {0} feature maps", maps.len(), maps.len() + 1),
            });
        }
        let mut all = Vec::new();
        for ((&(rows, columns), ratios), scales) in maps.iter().zip(&self.ratios).zip(self.scales.windows(2)) {
            let shapes = shapes(scales[0], scales[1], ratios);
            for y in 0..rows {
                let cy = (y as f64 + 0.5) / rows as f64;
                for x in 0..columns {
                    let cx = (x as f64 + 0.5) / columns as f64;
                    all.extend(shapes.iter().map(|&(w, h)| self.clipped(CenterBox { cx, cy, w, h })));
                }
            }
        }
        Ok(all)
    }

    fn clipped(&self, a: CenterBox) -> CenterBox {
        let clip = |v: f64| v.clamp(0.0, 1.0);
        let (cx, cy) = match self.clip {
            AnchorClip::All => (clip(a.cx), clip(a.cy)),
            AnchorClip::Sides => (a.cx, a.cy),
        };
        CenterBox { cx, cy, w: clip(a.w), h: clip(a.h) }
    }
}

/// Width and height of each anchor of a cell.
fn shapes(scale: f64, next: f64, ratios: &[f64]) -> Vec<(f64, f64)> {
    let big = (scale * next).sqrt();
    let mut shapes = vec![(scale, scale), (big, big)];
    for ratio in ratios {
        let root = ratio.sqrt();
        shapes.extend([(scale * root, scale / root), (scale / root, scale * root)]);
    }
    shapes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_the_heads_give() {
        let maps = [20, 10, 5, 3, 2, 1].map(|n| (n, n));
        assert_eq!(AnchorConfig::cvnets().per_cell(), [6, 6, 6, 6, 6, 4]);
        assert_eq!(AnchorConfig::cvnets().anchors(&maps).unwrap().len(), 3232);
        assert_eq!(AnchorConfig::torchvision().anchors(&maps).unwrap().len(), 3234);
    }

    #[test]
    fn rows_and_columns_may_differ() {
        let one = AnchorConfig { scales: vec![0.5, 2.0], ratios: vec![vec![4.0]], clip: AnchorClip::Sides };
        let found = one.anchors(&[(1, 2)]).unwrap();
        let at = |cx, w, h| CenterBox { cx, cy: 0.5, w, h };
        let expected = [0.25, 0.75].map(|x| [at(x, 0.5, 0.5), at(x, 1.0, 1.0), at(x, 1.0, 0.25), at(x, 0.25, 1.0)]);
        assert_eq!(found, expected.concat());
        let e = one.anchors(&[(1, 1), (2, 2)]).unwrap_err().to_string();
        assert_eq!(e, "anchors: found 1 lists of ratios and 2 scales, expected 2 and 3, for 2 feature maps");
    }
}
