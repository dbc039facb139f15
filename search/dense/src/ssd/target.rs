//! What a detector's outputs are trained towards, anchor by anchor.

use super::{Coder, Matcher};
use crate::{BBox, CenterBox, TargetBox};

/// Anchors, and how boxes are matched and coded with them.
#[derive(Clone, Debug, PartialEq)]
pub struct Assigner {
    anchors: Vec<CenterBox>,
    corners: Vec<BBox>,
    matcher: Matcher,
    coder: Coder,
}

/// The targets of an image's anchors.
#[derive(Clone, Debug, PartialEq)]
pub struct Assigned {
    /// The class of each anchor from 1 on; 0 is the background.
    pub labels: Vec<i64>,
    /// Four offsets an anchor, 0 for the background.
    pub offsets: Vec<f64>,
}

impl Assigner {
    /// Of anchors in parts of the image.
    pub fn new(anchors: Vec<CenterBox>, matcher: Matcher, coder: Coder) -> Assigner {
        let corners = anchors.iter().map(CenterBox::corners).collect();
        Assigner { anchors, corners, matcher, coder }
    }

    /// The anchors.
    pub fn anchors(&self) -> &[CenterBox] {
        &self.anchors
    }

    /// How boxes are coded.
    pub fn coder(&self) -> &Coder {
        &self.coder
    }

    /// The targets of an image's boxes, which are in pixels of its size.
    pub fn assign(&self, boxes: &[TargetBox], (width, height): (usize, usize)) -> Assigned {
        let (x, y) = (1.0 / width as f64, 1.0 / height as f64);
        let parts: Vec<BBox> = boxes.iter().map(|b| b.bbox.scaled(x, y)).collect();
        let (mut labels, mut offsets) = (vec![0; self.anchors.len()], vec![0.0; 4 * self.anchors.len()]);
        for (i, matched) in self.matcher.matches(&parts, &self.corners).into_iter().enumerate() {
            if let Some(b) = matched {
                labels[i] = i64::from(boxes[b].class) + 1;
                let coded = self.coder.encode(&parts[b], &self.anchors[i]);
                offsets[4 * i..4 * i + 4].copy_from_slice(&coded);
            }
        }
        Assigned { labels, offsets }
    }

    /// The boxes of an image's offsets, four an anchor, in parts of the image.
    pub fn decode<F: Copy + Into<f64>>(&self, offsets: &[F]) -> Vec<BBox> {
        let fours = offsets.as_chunks::<4>().0.iter().zip(&self.anchors);
        fours.map(|(o, anchor)| self.coder.decode(o.map(Into::into), anchor)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_begin_at_one_and_offsets_give_the_box_back() {
        let anchors = [0.25, 0.75].map(|cx| CenterBox { cx, cy: 0.5, w: 0.5, h: 1.0 }).to_vec();
        let assigner = Assigner::new(anchors, Matcher::CVNETS, Coder::CVNETS);
        let bbox = BBox::new(110.0, 2.0, 190.0, 47.0);
        let found = assigner.assign(&[TargetBox { bbox, class: 0 }], (200, 50));
        assert_eq!((&found.labels, &found.offsets[..4]), (&vec![0, 1], &[0.0; 4][..]));
        let back = assigner.decode(&found.offsets)[1].scaled(200.0, 50.0);
        assert!(back.xyxy().iter().zip(bbox.xyxy()).all(|(a, b)| (a - b).abs() < 1e-4), "{back:?}");
        assert_eq!(assigner.assign(&[], (200, 50)).labels, [0, 0]);
    }
}
