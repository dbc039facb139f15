//! SSD's random crop (Liu et al., 2016), drawn as cvnets draws it.

use mobilenas_image::Area;
use rand::Rng;
use rand::seq::IndexedRandom as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::between;
use crate::{BBox, Keep, Sample};

/// Which parts of an image may be cut out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SsdCrop {
    /// One is drawn; the part has to overlap a box with this IoU. 0 leaves the image whole.
    #[schemars(length(min = 1), inner(range(min = 0, max = 1)))]
    pub min_ious: Vec<f64>,
    /// Parts that are tried before another IoU is drawn.
    #[schemars(range(min = 1, max = 1000))]
    pub trials: u32,
    /// Smallest side as a share of the image's.
    #[schemars(range(min = 0, max = 1))]
    pub min_side: f64,
    /// Largest ratio of the sides, either way.
    #[schemars(range(min = 1, max = 10))]
    pub max_ratio: f64,
    /// Smallest side in pixels.
    #[schemars(range(min = 1, max = 4096))]
    pub min_pixels: u32,
}

impl Default for SsdCrop {
    fn default() -> SsdCrop {
        let min_ious = vec![0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0];
        SsdCrop { min_ious, trials: 40, min_side: 0.3, max_ratio: 2.0, min_pixels: 100 }
    }
}

/// Draws of an IoU before the image is left whole. Without 0 among them, none may ever be reached.
const ROUNDS: u32 = 50;

impl SsdCrop {
    /// A part of the sample with the boxes whose centres are inside. Without boxes the image stays whole.
    pub fn apply(&self, sample: Sample, rng: &mut dyn Rng) -> Sample {
        match self.draw(&sample, rng) {
            Some(area) => sample.cropped(area, Keep::Center),
            None => sample,
        }
    }

    fn draw(&self, sample: &Sample, rng: &mut dyn Rng) -> Option<Area> {
        let boxes = &sample.target.boxes;
        let (width, height) = (sample.image.width as f64, sample.image.height as f64);
        if boxes.is_empty() {
            return None;
        }
        for _ in 0..ROUNDS {
            let min_iou = *self.min_ious.choose(rng)?;
            if min_iou == 0.0 {
                return None;
            }
            for _ in 0..self.trials {
                let w = between(self.min_side * width, width, rng).floor();
                let h = between(self.min_side * height, height, rng).floor();
                let (x, y) = (between(0.0, width - w, rng).floor(), between(0.0, height - h, rng).floor());
                let least = f64::from(self.min_pixels);
                if w < least || h < least || h > self.max_ratio * w || w > self.max_ratio * h {
                    continue;
                }
                let part = BBox::new(x, y, x + w, y + h);
                let overlaps = boxes.iter().any(|b| b.bbox.iou(&part, 0.0) >= min_iou);
                let inside = |(cx, cy): (f64, f64)| part.x1 < cx && cx < part.x2 && part.y1 < cy && cy < part.y2;
                if overlaps && boxes.iter().any(|b| inside(b.bbox.center())) {
                    return Some(Area { x: x as u32, y: y as u32, width: w as u32, height: h as u32 });
                }
            }
        }
        None
    }
}
