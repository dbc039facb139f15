//! From regions to detections.

use super::RcnnRules;
use super::proposals::decoded;
use crate::BBox;
use crate::metrics::coco::Found;
use crate::ssd::nms;

/// An object that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Instance {
    /// Its box, in pixels of the image that the network reads.
    pub bbox: BBox,
    /// The place of its class.
    pub class: usize,
    /// Its probability.
    pub score: f64,
}

impl Instance {
    /// The box in an image of another size.
    pub fn in_image(&self, (from_width, from_height): (f64, f64), width: u32, height: u32) -> Found<[f64; 4]> {
        let (w, h) = (f64::from(width), f64::from(height));
        let bbox = self.bbox.scaled(w / from_width, h / from_height).clipped(w, h);
        Found { region: bbox.xywh(), category: self.class as u32, score: self.score }
    }
}

impl RcnnRules {
    /// The detections among an image's regions, the best first. `scores` are probabilities, row by row of so many `classes`
    /// with the background last; `offsets` are four numbers for each class but the background.
    pub fn detect(
        &self,
        regions: &[BBox],
        (scores, offsets): (&[f64], &[f64]),
        classes: usize,
        size: (f64, f64),
    ) -> Vec<Instance> {
        let (objects, offsets) = (classes.saturating_sub(1), offsets.as_chunks::<4>().0);
        let mut all = Vec::new();
        for class in 0..objects {
            let of = |row: usize| scores[row * classes + class];
            let mut rows: Vec<usize> = (0..regions.len()).filter(|r| of(*r) > self.score_threshold).collect();
            rows.sort_by(|a, b| of(*b).total_cmp(&of(*a)));
            let at = |row: &usize| decoded(&self.region_coder, offsets[row * objects + class], &regions[*row], size);
            let boxes: Vec<BBox> = rows.iter().map(at).collect();
            let kept = nms(&boxes, self.nms_iou).into_iter();
            all.extend(kept.map(|i| Instance { bbox: boxes[i], class, score: of(rows[i]) }));
        }
        all.sort_by(|a, b| b.score.total_cmp(&a.score));
        all.truncate(self.per_image);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_may_be_an_object_of_each_class() {
        let regions = [BBox::new(0.0, 0.0, 20.0, 20.0), BBox::new(1.0, 0.0, 21.0, 20.0)];
        let scores = [0.5, 0.3, 0.2, 0.4, 0.04, 0.56];
        let found = RcnnRules::MMDETECTION.detect(&regions, (&scores, &[0.0; 16]), 3, (40.0, 40.0));
        let told: Vec<(usize, f64, f64)> = found.iter().map(|d| (d.class, d.score, d.bbox.x1)).collect();
        assert_eq!(told, [(0, 0.5, 0.0), (1, 0.3, 0.0)]);
        let found = found[0].in_image((40.0, 40.0), 80, 20);
        assert_eq!(found, Found { region: [0.0, 0.0, 40.0, 10.0], category: 0, score: 0.5 });
    }
}
