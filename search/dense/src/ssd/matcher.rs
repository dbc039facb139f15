//! Which box an anchor is trained to find.

use crate::BBox;

/// When an anchor has a box.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Matcher {
    /// Smallest IoU of an anchor with its best box.
    pub threshold: f64,
    /// What is added to the union.
    pub eps: f64,
}

impl Matcher {
    /// cvnets'.
    pub const CVNETS: Matcher = Matcher { threshold: 0.5, eps: 1e-5 };
    /// torchvision's.
    pub const TORCHVISION: Matcher = Matcher { threshold: 0.5, eps: 0.0 };

    /// The box of each anchor; none is background. An anchor has its best box if they overlap enough, the first of
    /// equal ones. Every box has its best anchor, however little they overlap; where two boxes share it, the later one
    /// has it. Boxes and anchors are in one unit. A small box inside several anchors of one shape has equal IoUs with
    /// them, and rounding decides.
    pub fn matches(&self, boxes: &[BBox], anchors: &[BBox]) -> Vec<Option<usize>> {
        // The first of equal anchors is a box's best; an IoU is never below 0.
        let mut best_anchor = vec![(f64::NEG_INFINITY, 0); boxes.len()];
        let mut found = Vec::with_capacity(anchors.len());
        for (at, anchor) in anchors.iter().enumerate() {
            let mut best = (f64::NEG_INFINITY, None);
            for (index, (bbox, own)) in boxes.iter().zip(&mut best_anchor).enumerate() {
                let iou = anchor.iou(bbox, self.eps);
                if iou > best.0 {
                    best = (iou, Some(index));
                }
                if iou > own.0 {
                    *own = (iou, at);
                }
            }
            found.push(best.1.filter(|_| best.0 >= self.threshold));
        }
        for (index, (_, anchor)) in best_anchor.into_iter().enumerate() {
            if let Some(slot) = found.get_mut(anchor) {
                *slot = Some(index);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_box_has_an_anchor_and_the_later_box_wins() {
        let anchors = [(0.0, 0.5), (0.5, 1.0), (0.0, 1.0)].map(|(left, right)| BBox::new(left, 0.0, right, 1.0));
        let of = |boxes: &[BBox]| Matcher::CVNETS.matches(boxes, &anchors);
        assert_eq!(of(&[]), [None; 3]);
        // Exactly half of the whole image's anchor, which eps keeps below the threshold.
        let left = BBox::new(0.0, 0.0, 0.5, 1.0);
        assert_eq!(of(&[left]), [Some(0), None, None]);
        assert_eq!(Matcher::TORCHVISION.matches(&[left], &anchors), [Some(0), None, Some(0)]);
        let tiny = BBox::new(0.1, 0.4, 0.2, 0.5);
        assert_eq!(of(&[left, tiny]), [Some(1), None, None], "both boxes' best anchor is the first");
        assert_eq!(of(&[tiny, left]), [Some(1), None, None]);
    }
}
