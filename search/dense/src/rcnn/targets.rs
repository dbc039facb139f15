//! What anchors and regions are trained to give.

use rand::Rng;

use super::{Match, RcnnRules};
use crate::{BBox, CenterBox, TargetBox};

/// The anchors of an image that are trained on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnchorTargets {
    /// The places of those with an object, and the offsets of its box.
    pub positive: Vec<(usize, [f64; 4])>,
    /// The places of those of the background.
    pub negative: Vec<usize>,
}

/// A region that is trained on.
#[derive(Clone, Debug, PartialEq)]
pub struct RegionTarget {
    /// The region.
    pub bbox: BBox,
    /// Its object, by its place, and the offsets of the object's box; none for the background.
    pub object: Option<(usize, [f64; 4])>,
}

impl RcnnRules {
    /// The anchors of an image with these objects that are trained on.
    pub fn anchor_targets(&self, objects: &[TargetBox], anchors: &[BBox], rng: &mut dyn Rng) -> AnchorTargets {
        let objects: Vec<BBox> = objects.iter().map(|o| o.bbox).collect();
        let matches = self.anchors.matches(&objects, anchors);
        let sampled = self.anchor_samples.draw(&matches, rng);
        let one = |i: usize| match matches[i] {
            Match::Object(k) => Some((i, self.anchor_coder.encode(&objects[k], &CenterBox::from(anchors[i])))),
            Match::Background | Match::Neither => None,
        };
        AnchorTargets { positive: sampled.positive.into_iter().filter_map(one).collect(), negative: sampled.negative }
    }

    /// The regions of an image with these objects that are trained on: of the objects' own boxes and of the proposals. Those
    /// with an object come first.
    pub fn region_targets(&self, objects: &[TargetBox], proposals: &[BBox], rng: &mut dyn Rng) -> Vec<RegionTarget> {
        let objects: Vec<BBox> = objects.iter().map(|o| o.bbox).collect();
        let own = (0..objects.len()).map(Match::Object);
        let matches: Vec<Match> = own.chain(self.regions.matches(&objects, proposals)).collect();
        let boxes: Vec<BBox> = objects.iter().chain(proposals).copied().collect();
        let sampled = self.region_samples.draw(&matches, rng);
        let coded = |i: usize, k: usize| self.region_coder.encode(&objects[k], &CenterBox::from(boxes[i]));
        let one = |i: usize| RegionTarget {
            bbox: boxes[i],
            object: match matches[i] {
                Match::Object(k) => Some((k, coded(i, k))),
                Match::Background | Match::Neither => None,
            },
        };
        sampled.positive.into_iter().chain(sampled.negative).map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use mobilenas_space::seed::{Purpose, rng};

    use super::*;

    #[test]
    fn the_boxes_of_objects_are_regions() {
        let bbox = BBox::new(10.0, 10.0, 50.0, 30.0);
        let objects = [TargetBox { bbox, class: 4 }];
        let proposals = [BBox::new(60.0, 60.0, 90.0, 90.0), BBox::new(12.0, 10.0, 52.0, 30.0)];
        let rules = RcnnRules::MMDETECTION;
        let mut rng = rng(1, Purpose::Scenes, 0, 0);
        let found = rules.region_targets(&objects, &proposals, &mut rng);
        let with: Vec<BBox> = found.iter().filter(|r| r.object.is_some()).map(|r| r.bbox).collect();
        assert!(with.contains(&bbox) && with.contains(&proposals[1]) && with.len() == 2);
        assert_eq!(found[2], RegionTarget { bbox: proposals[0], object: None });
        let (place, offsets) = found.iter().find(|r| r.bbox == proposals[1]).unwrap().object.unwrap();
        assert_eq!((place, offsets), (0, [-2.0 / 40.0 / 0.1, 0.0, 0.0, 0.0]));
        let anchors = [bbox, proposals[0]];
        let found = rules.anchor_targets(&objects, &anchors, &mut rng);
        assert_eq!(found, AnchorTargets { positive: vec![(0, [0.0; 4])], negative: vec![1] });
        assert_eq!(rules.region_targets(&[], &[], &mut rng), []);
    }
}
