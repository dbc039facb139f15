//! From probabilities and boxes to detections.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::BBox;
use crate::metrics::coco::Found;

/// A box that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// The box.
    pub bbox: BBox,
    /// Its probability.
    pub score: f64,
    /// Its class; 0 is the background, which is never detected.
    pub label: usize,
}

impl Detection {
    /// For COCO's average precision: a box in parts of the image becomes pixels of the image's own size, clipped to it. A
    /// category is the class's place from 0.
    pub fn in_image(&self, width: u32, height: u32) -> Found<[f64; 4]> {
        let (w, h) = (f64::from(width), f64::from(height));
        let region = self.bbox.scaled(w, h).clipped(w, h).xywh();
        Found { region, category: self.label.saturating_sub(1) as u32, score: self.score }
    }
}

/// Which boxes are detections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DetectionConfig {
    /// A probability has to be above this.
    #[schemars(range(min = 0, max = 1))]
    pub score_threshold: f64,
    /// Boxes of a class that enter non-maximum suppression; if left out, all.
    #[schemars(range(min = 1))]
    pub candidates_per_class: Option<usize>,
    /// A box goes if its IoU with a better one of its class is above this.
    #[schemars(range(min = 0, max = 1))]
    pub nms_iou: f64,
    /// Boxes of a class that are kept; if left out, all.
    #[schemars(range(min = 1))]
    pub per_class: Option<usize>,
    /// Boxes of an image that are kept; if left out, all.
    #[schemars(range(min = 1))]
    pub per_image: Option<usize>,
}

impl Default for DetectionConfig {
    fn default() -> DetectionConfig {
        DetectionConfig::cvnets()
    }
}

impl DetectionConfig {
    /// Those of cvnets since MobileViTv2's paper.
    pub fn cvnets() -> DetectionConfig {
        DetectionConfig {
            score_threshold: 0.01,
            candidates_per_class: Some(400),
            nms_iou: 0.5,
            per_class: None,
            per_image: Some(200),
        }
    }

    /// Those of cvnets v0.1, of MobileViT's paper, with the threshold that it names for COCO.
    pub fn cvnets_v01() -> DetectionConfig {
        DetectionConfig { candidates_per_class: None, per_class: Some(200), per_image: None, ..Self::cvnets() }
    }

    /// Those of torchvision's SSDLite.
    pub fn torchvision() -> DetectionConfig {
        DetectionConfig {
            score_threshold: 0.001,
            candidates_per_class: Some(300),
            nms_iou: 0.55,
            per_class: None,
            per_image: Some(300),
        }
    }

    /// The detections of one image, the best first; of equal ones the lower class's, then the earlier box's. `scores`
    /// are probabilities, row by row a number for each of `classes` with the background first; `boxes` are the rows'
    /// boxes.
    pub fn detect<F: Copy + Into<f64>>(&self, scores: &[F], classes: usize, boxes: &[BBox]) -> Vec<Detection> {
        let mut all = Vec::new();
        for label in 1..classes {
            let of = |row: usize| scores[row * classes + label].into();
            let mut rows: Vec<(f64, usize)> = (0..boxes.len()).map(|row| (of(row), row)).collect();
            rows.retain(|(score, _)| *score > self.score_threshold);
            rows.sort_by(|a, b| b.0.total_cmp(&a.0));
            rows.truncate(self.candidates_per_class.unwrap_or(usize::MAX));
            let candidates: Vec<BBox> = rows.iter().map(|(_, row)| boxes[*row]).collect();
            let kept = nms(&candidates, self.nms_iou).into_iter().take(self.per_class.unwrap_or(usize::MAX));
            all.extend(kept.map(|i| Detection { bbox: candidates[i], score: rows[i].0, label }));
        }
        all.sort_by(|a, b| b.score.total_cmp(&a.score));
        all.truncate(self.per_image.unwrap_or(usize::MAX));
        all
    }
}

/// Non-maximum suppression of boxes of falling score: the indices of those kept. A box goes if its IoU with a kept one
/// is above the threshold.
pub fn nms(boxes: &[BBox], threshold: f64) -> Vec<usize> {
    let areas: Vec<f64> = boxes.iter().map(BBox::area).collect();
    let mut gone = vec![false; boxes.len()];
    let mut kept = Vec::new();
    for i in 0..boxes.len() {
        if gone[i] {
            continue;
        }
        kept.push(i);
        for j in i + 1..boxes.len() {
            if !gone[j] {
                let shared = boxes[i].intersection(&boxes[j]);
                // Two boxes without area have no IoU, and both stay.
                gone[j] = shared / (areas[i] + areas[j] - shared) > threshold;
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_boxes_that_are_kept_suppress() {
        let at = |x: f64| BBox::new(x, 0.0, x + 10.0, 10.0);
        // IoU of neighbours 7/13; of the first and third 4/16.
        assert_eq!(nms(&[at(0.0), at(3.0), at(6.0)], 0.5), [0, 2]);
        assert_eq!(nms(&[at(0.0), at(3.0), at(6.0)], 7.0 / 13.0), [0, 1, 2], "equal is not above");
        assert_eq!(nms(&[BBox::default(), BBox::default()], 0.5), [0, 1]);
    }

    #[test]
    fn detections_are_told_in_pixels_of_the_image() {
        let found = Detection { bbox: BBox::new(0.5, -0.25, 1.5, 0.5), score: 0.25, label: 3 }.in_image(200, 100);
        assert_eq!(found, Found { region: [100.0, 0.0, 100.0, 50.0], category: 2, score: 0.25 });
    }

    #[test]
    fn classes_do_not_suppress_each_other() {
        let b = BBox::new(0.0, 0.0, 1.0, 1.0);
        let scores = [0.2f32, 0.4, 0.4, 0.1, 0.3, 0.6];
        let found = DetectionConfig::cvnets().detect(&scores, 3, &[b, b]);
        let told: Vec<(f32, usize)> = found.iter().map(|d| (d.score as f32, d.label)).collect();
        assert_eq!(told, [(0.6, 2), (0.4, 1)]);
        let all = DetectionConfig { nms_iou: 1.0, ..DetectionConfig::cvnets() }.detect(&scores, 3, &[b, b]);
        let told: Vec<(f32, usize)> = all.iter().map(|d| (d.score as f32, d.label)).collect();
        assert_eq!(told, [(0.6, 2), (0.4, 1), (0.4, 2), (0.3, 1)]);
    }
}
