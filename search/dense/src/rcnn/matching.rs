//! Which boxes have an object, and which of them are trained on.

use rand::{Rng, RngExt as _};

use crate::BBox;

/// When a box has an object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OverlapMatcher {
    /// IoU with its best object from which on a box has it.
    pub positive: f64,
    /// IoU below which a box is background.
    pub negative: f64,
    /// An object also has all boxes that overlap it most, if by this much.
    pub least: f64,
}

/// What a box has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// An object, by its place.
    Object(usize),
    /// None.
    Background,
    /// Too much of one for background, and too little to be trained on.
    Neither,
}

/// Unions are not taken for smaller.
const LEAST_UNION: f64 = 1e-6;

fn iou(a: &BBox, b: &BBox) -> f64 {
    let shared = a.intersection(b);
    shared / (a.area() + b.area() - shared).max(LEAST_UNION)
}

impl OverlapMatcher {
    /// What each box has. Of equal objects a box has the first; where a box overlaps several objects most, the last one
    /// has it.
    pub fn matches(&self, objects: &[BBox], boxes: &[BBox]) -> Vec<Match> {
        if objects.is_empty() {
            return vec![Match::Background; boxes.len()];
        }
        let mut most = vec![0.0f64; objects.len()];
        let mut ious = Vec::with_capacity(boxes.len() * objects.len());
        let mut found = Vec::with_capacity(boxes.len());
        for b in boxes {
            let mut best = (-1.0, 0);
            for (i, object) in objects.iter().enumerate() {
                let iou = iou(object, b);
                ious.push(iou);
                most[i] = most[i].max(iou);
                if iou > best.0 {
                    best = (iou, i);
                }
            }
            found.push(match best {
                (iou, i) if iou >= self.positive => Match::Object(i),
                (iou, _) if iou < self.negative => Match::Background,
                _ => Match::Neither,
            });
        }
        for (row, found) in ious.chunks(objects.len()).zip(&mut found) {
            for (i, (iou, most)) in row.iter().zip(&most).enumerate() {
                if *most >= self.least && iou == most {
                    *found = Match::Object(i);
                }
            }
        }
        found
    }
}

/// How many of the matched are trained on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Of an image, at most.
    pub count: usize,
    /// The part of them that may have an object.
    pub positive: f64,
}

/// The places of boxes that are trained on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sampled {
    /// Those with an object.
    pub positive: Vec<usize>,
    /// Those of the background.
    pub negative: Vec<usize>,
}

impl Sampling {
    /// Some of the matched boxes, at random: as many with an object as may be, and background up to the count.
    pub fn draw(&self, matches: &[Match], rng: &mut dyn Rng) -> Sampled {
        let of = |wanted: fn(&Match) -> bool| (0..matches.len()).filter(|i| wanted(&matches[*i])).collect::<Vec<_>>();
        let mut positive = of(|m| matches!(m, Match::Object(_)));
        let mut negative = of(|m| *m == Match::Background);
        some(&mut positive, (self.count as f64 * self.positive) as usize, rng);
        some(&mut negative, self.count - positive.len(), rng);
        Sampled { positive, negative }
    }
}

/// Leaves so many, at random.
fn some(all: &mut Vec<usize>, count: usize, rng: &mut dyn Rng) {
    if all.len() > count {
        for i in 0..count {
            let other = rng.random_range(i..all.len());
            all.swap(i, other);
        }
        all.truncate(count);
    }
}

#[cfg(test)]
mod tests {
    use mobilenas_space::seed::{Purpose, rng};

    use super::*;
    use crate::rcnn::RcnnRules;

    fn at(x: f64, width: f64) -> BBox {
        BBox::new(x, 0.0, x + width, 10.0)
    }

    #[test]
    fn by_hand() {
        let objects = [at(0.0, 10.0), at(100.0, 10.0), at(300.0, 1.0)];
        // IoU 1, 0.6, 0.2; 0.5 twice, the most of the second object; 0.1, too little for the third.
        let boxes = [at(0.0, 10.0), at(0.0, 6.0), at(0.0, 2.0), at(100.0, 5.0), at(105.0, 5.0), at(300.0, 10.0)];
        use Match::{Background, Neither, Object};
        let rules = RcnnRules::MMDETECTION;
        let found = rules.anchors.matches(&objects, &boxes);
        assert_eq!(found, [Object(0), Neither, Background, Object(1), Object(1), Background]);
        let found = rules.regions.matches(&objects, &boxes);
        assert_eq!(found, [Object(0), Object(0), Background, Object(1), Object(1), Background]);
        assert_eq!(rules.anchors.matches(&[], &boxes[..2]), [Background; 2]);
    }

    #[test]
    fn background_fills_what_objects_leave() {
        let mut matches = vec![Match::Background; 1000];
        matches[3] = Match::Object(0);
        matches[7] = Match::Neither;
        let mut rng = rng(1, Purpose::Scenes, 0, 0);
        let found = RcnnRules::MMDETECTION.anchor_samples.draw(&matches, &mut rng);
        assert_eq!((&found.positive[..], found.negative.len()), (&[3][..], 255));
        let mut distinct = found.negative.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert!(distinct.len() == 255 && !distinct.contains(&3) && !distinct.contains(&7));
        let all = [Match::Object(0); 300];
        let found = RcnnRules::MMDETECTION.region_samples.draw(&all, &mut rng);
        assert_eq!((found.positive.len(), found.negative.len()), (128, 0));
    }
}
