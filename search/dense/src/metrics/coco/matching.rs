//! Which detections of one image and category find a truth.

use super::rules::{AREAS, MOST, THRESHOLDS};
use super::{Found, Region, Truth};

/// What became of the detections of one image and category, the best first, at most a hundred.
#[derive(Debug)]
pub(super) struct Judged {
    /// Their scores.
    pub(super) scores: Vec<f64>,
    /// By area and detection: bit t is set where it finds a truth at threshold t.
    pub(super) matched: [Vec<u16>; 4],
    /// The same, where it counts as nothing.
    pub(super) ignored: [Vec<u16>; 4],
    /// Truths that count, by area.
    pub(super) truths: [usize; 4],
}

/// The thresholds as NumPy's `linspace` gives them.
fn thresholds() -> [f64; THRESHOLDS] {
    let step = (0.95 - 0.5) / (THRESHOLDS - 1) as f64;
    std::array::from_fn(|t| if t + 1 == THRESHOLDS { 0.95 } else { t as f64 * step + 0.5 })
}

/// Falling order for a stable sort; no number last.
pub(super) fn falling(a: f64, b: f64) -> std::cmp::Ordering {
    // 0 and -0 are equal.
    a.is_nan().cmp(&b.is_nan()).then((0.0 - a).total_cmp(&(0.0 - b)))
}

pub(super) fn judge<R: Region>(truths: &[&Truth<R>], mut found: Vec<&Found<R>>) -> Judged {
    found.sort_by(|a, b| falling(a.score, b.score));
    found.truncate(MOST[2]);
    let ious: Vec<f64> = found.iter().flat_map(|d| truths.iter().map(|t| d.region.iou(&t.region, t.crowd))).collect();
    let mut judged = Judged {
        scores: found.iter().map(|d| d.score).collect(),
        matched: Default::default(),
        ignored: Default::default(),
        truths: [0; 4],
    };
    let areas: Vec<f64> = found.iter().map(|d| d.region.area()).collect();
    let outside = |area: f64, (low, high): (f64, f64)| area < low || area > high;
    for (k, range) in AREAS.into_iter().enumerate() {
        let ignored: Vec<bool> = truths.iter().map(|t| t.crowd || outside(t.area, range)).collect();
        // Those that count come first.
        let mut order: Vec<usize> = (0..truths.len()).collect();
        order.sort_by_key(|i| ignored[*i]);
        let counting = ignored.iter().filter(|i| !**i).count();
        judged.truths[k] = counting;
        let (mut matched, mut nothing) = (vec![0u16; found.len()], vec![0u16; found.len()]);
        for (t, threshold) in thresholds().into_iter().enumerate() {
            let mut free: Vec<bool> = vec![true; truths.len()];
            for d in 0..found.len() {
                let row = &ious[d * truths.len()..(d + 1) * truths.len()];
                let may = |i: &usize| free[*i] || truths[*i].crowd;
                let least = threshold.min(1.0 - 1e-10);
                let best = best(row, order[..counting].iter().copied().filter(may), least);
                let best = best.or_else(|| self::best(row, order[counting..].iter().copied().filter(may), least));
                if let Some(i) = best {
                    free[i] = false;
                    matched[d] |= 1 << t;
                    nothing[d] |= u16::from(ignored[i]) << t;
                } else if outside(areas[d], range) {
                    nothing[d] |= 1 << t;
                }
            }
        }
        judged.matched[k] = matched;
        judged.ignored[k] = nothing;
    }
    judged
}

/// The truth of highest IoU, the last of equal ones, if it is high enough.
fn best(ious: &[f64], among: impl Iterator<Item = usize>, least: f64) -> Option<usize> {
    let mut best = (least, None);
    for i in among {
        if ious[i] >= best.0 {
            best = (ious[i], Some(i));
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_numpys() {
        assert_eq!(thresholds()[5], 0.75);
        let expected = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.8999999999999999, 0.95];
        assert_eq!(thresholds(), expected);
    }

    #[test]
    fn scores_fall_and_equal_ones_keep_their_order() {
        let mut scores = [(0.5, 0), (f64::NAN, 1), (-0.0, 2), (0.5, 3), (0.0, 4), (0.9, 5)];
        scores.sort_by(|a, b| falling(a.0, b.0));
        assert_eq!(scores.iter().map(|s| s.1).collect::<Vec<_>>(), [5, 0, 3, 2, 4, 1]);
    }
}
