//! From anchors to proposals.

use super::{Proposing, RcnnRules};
use crate::ssd::{Coder, nms};
use crate::{BBox, CenterBox};

/// A box by its offsets from another one, clipped to an image. No side is taken for more than 62.5 times larger or smaller.
pub(super) fn decoded(coder: &Coder, [x, y, w, h]: [f64; 4], from: &BBox, (width, height): (f64, f64)) -> BBox {
    let side = |v: f64| v.max(-coder.max_log / coder.size);
    coder.decode([x, y, side(w), side(h)], &CenterBox::from(*from)).clipped(width, height)
}

impl RcnnRules {
    /// The proposals of an image of (width, height), the best first. `logits` and `offsets` are the anchors', one and four
    /// numbers each, `per_level` is how many anchors each level has.
    pub fn proposals(
        &self,
        how: &Proposing,
        (anchors, per_level): (&[BBox], &[usize]),
        (logits, offsets): (&[f64], &[f64]),
        size: (f64, f64),
    ) -> Vec<BBox> {
        let (mut all, mut begin) = (Vec::new(), 0);
        let offsets = offsets.as_chunks::<4>().0;
        for count in per_level {
            let mut best: Vec<usize> = (begin..begin + count).filter(|i| !logits[*i].is_nan()).collect();
            best.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
            best.truncate(how.per_level);
            let candidates: Vec<(f64, BBox)> = best
                .into_iter()
                .map(|i| (logits[i], decoded(&self.anchor_coder, offsets[i], &anchors[i], size)))
                .filter(|(_, b)| b.width() > 0.0 && b.height() > 0.0)
                .collect();
            let boxes: Vec<BBox> = candidates.iter().map(|(_, b)| *b).collect();
            all.extend(nms(&boxes, how.nms_iou).into_iter().map(|i| candidates[i]));
            begin += count;
        }
        all.sort_by(|a: &(f64, BBox), b| b.0.total_cmp(&a.0));
        all.truncate(how.per_image);
        all.into_iter().map(|(_, b)| b).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_do_not_suppress_each_other() {
        let b = BBox::new(-10.0, 0.0, 30.0, 40.0);
        let rules = RcnnRules::MMDETECTION;
        let how = rules.proposing;
        let of = |logits: &[f64], offsets: &[f64]| {
            rules.proposals(&how, (&[b; 3], &[2, 1]), (logits, offsets), (100.0, 100.0))
        };
        let clipped = BBox::new(0.0, 0.0, 30.0, 40.0);
        assert_eq!(of(&[1.0, 2.0, 0.0], &[0.0; 12]), [clipped, clipped]);
        // The last one lies outside, the first one is twice as high.
        let mut offsets = [0.0; 12];
        offsets[3] = 2f64.ln();
        offsets[8] = -5.0;
        let found = of(&[1.0, 2.0, 0.0], &offsets);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], clipped);
        assert!((found[1].height() - 60.0).abs() < 1e-9, "{:?}", found[1]);
        let tiny = decoded(&rules.region_coder, [0.0, 0.0, -1e9, 1e9], &b, (1e9, 1e9));
        assert!((tiny.width() - 40.0 / 62.5).abs() < 1e-9, "{tiny:?}");
    }
}
