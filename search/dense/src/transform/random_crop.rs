//! A square part in which no class has too large a share.

use mobilenas_image::Area;
use rand::{Rng, RngExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ClassMap, IGNORED, Keep, Sample};

/// Which part is cut out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RandomCrop {
    /// No class may have this share of the pixels that are not ignored, if one of ten parts is so.
    #[schemars(range(min = 0, max = 1))]
    pub max_class_share: f64,
}

impl Default for RandomCrop {
    fn default() -> RandomCrop {
        RandomCrop { max_class_share: 0.75 }
    }
}

/// Parts that are looked at; the last is taken whatever it holds.
const TRIALS: u32 = 10;
/// A box stays with this share of its area.
const SHARE: f64 = 0.2;

impl RandomCrop {
    /// A part of the sample, padded where it is smaller.
    pub fn apply(&self, sample: &Sample, side: u32, rng: &mut dyn Rng) -> Sample {
        let sample = sample.padded(side as usize, side as usize);
        let (width, height) = (sample.image.width as u32, sample.image.height as u32);
        let mut draw = || {
            let x = rng.random_range(0..=width - side);
            Area { x, y: rng.random_range(0..=height - side), width: side, height: side }
        };
        let mut area = draw();
        if let Some(map) = sample.target.map.as_ref().filter(|_| self.max_class_share < 1.0) {
            for _ in 0..TRIALS {
                if largest_share(map, area).is_some_and(|share| share < self.max_class_share) {
                    break;
                }
                area = draw();
            }
        }
        sample.cropped(area, Keep::Share(SHARE))
    }
}

/// The share of the most frequent class among the pixels that are not ignored; none if all are.
fn largest_share(map: &ClassMap, area: Area) -> Option<f64> {
    let mut counts = [0u32; 256];
    let rows = map.labels.chunks_exact(map.width).skip(area.y as usize).take(area.height as usize);
    for row in rows {
        row[area.x as usize..(area.x + area.width) as usize].iter().for_each(|l| counts[usize::from(*l)] += 1);
    }
    counts[usize::from(IGNORED)] = 0;
    let (all, most) = (counts.iter().sum::<u32>(), counts.iter().copied().max().unwrap_or(0));
    (all > 0).then(|| f64::from(most) / f64::from(all))
}
