//! Precision over recall of one category.

use super::matching::{Judged, falling};
use super::rules::{RECALLS, THRESHOLDS};
use crate::metrics::sum::mean;

/// Precision and recall of one category and area.
pub(super) struct Curve {
    /// By threshold and point of recall.
    pub(super) precision: Vec<[f64; RECALLS]>,
    /// The highest recall, by threshold.
    pub(super) recall: [f64; THRESHOLDS],
}

impl Curve {
    pub(super) fn mean(&self) -> Option<f64> {
        mean(&self.precision.concat())
    }
}

/// Truths that count; none if there are none.
fn truths(images: &[Judged], area: usize) -> Option<f64> {
    let truths: usize = images.iter().map(|i| i.truths[area]).sum();
    (truths > 0).then_some(truths as f64)
}

/// Recall by threshold of the best `most` detections of each image.
pub(super) fn recall(images: &[Judged], area: usize, most: usize) -> Option<[f64; THRESHOLDS]> {
    let truths = truths(images, area)?;
    let mut hits = [0u32; THRESHOLDS];
    for image in images {
        for (matched, ignored) in image.matched[area].iter().zip(&image.ignored[area]).take(most) {
            let right = matched & !ignored;
            hits.iter_mut().enumerate().for_each(|(t, n)| *n += u32::from(right >> t & 1));
        }
    }
    Some(hits.map(|n| f64::from(n) / truths))
}

/// Of the best `most` detections of each image.
pub(super) fn curve(images: &[Judged], area: usize, most: usize) -> Option<Curve> {
    let count = truths(images, area)?;
    let each = images.iter().flat_map(|i| {
        let flags = i.matched[area].iter().zip(&i.ignored[area]);
        i.scores.iter().zip(flags).take(most).map(|(s, (m, g))| (*s, *m, *g))
    });
    let mut all: Vec<(f64, u16, u16)> = each.collect();
    all.sort_by(|a, b| falling(a.0, b.0));
    let at = |t: usize| precision(all.iter().filter(|d| d.2 >> t & 1 == 0).map(|d| d.1 >> t & 1 == 1), count);
    Some(Curve { precision: (0..THRESHOLDS).map(at).collect(), recall: recall(images, area, most)? })
}

/// Precision at each point of recall, of detections by falling score that find a truth or do not.
fn precision(hits: impl Iterator<Item = bool>, truths: f64) -> [f64; RECALLS] {
    let (mut right, mut wrong) = (0.0, 0.0);
    // Recall and precision where recall rises; precision falls between, so nothing else can be the highest from there
    // on.
    let mut steps: Vec<(f64, f64)> = Vec::new();
    for hit in hits {
        if hit {
            right += 1.0;
            steps.push((right / truths, right / (wrong + right + f64::EPSILON)));
        } else {
            wrong += 1.0;
        }
    }
    for i in (1..steps.len()).rev() {
        steps[i - 1].1 = steps[i - 1].1.max(steps[i].1);
    }
    let (mut out, mut at) = ([0.0; RECALLS], 0);
    for (r, precision) in out.iter_mut().enumerate() {
        let wanted = if r + 1 == RECALLS { 1.0 } else { r as f64 * 0.01 };
        while steps.get(at).is_some_and(|s| s.0 < wanted) {
            at += 1;
        }
        *precision = steps.get(at).map_or(0.0, |s| s.1);
    }
    out
}
