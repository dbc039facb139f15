//! Change points of a series: E-divisive with a t-test, as benchmark trackers use it.

use statrs::distribution::{ContinuousCDF as _, StudentsT};

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// The first value of the new level.
    pub at: usize,
    /// Mean before, within its segment.
    pub before: f64,
    pub after: f64,
}

/// Fewest values on each side of a change: one outlier is not a level.
const SEGMENT: usize = 3;
/// Most values on each side that the test uses.
const WINDOW: usize = 30;
/// Significance level of the test.
const LEVEL: f64 = 0.001;
/// Smaller relative changes of noisy values are not reported.
const SMALLEST: f64 = 0.05;

/// The split of a segment with the largest energy distance between its two sides.
fn split(x: &[f64]) -> Option<usize> {
    let n = x.len();
    let distances = |k: usize, to: std::ops::Range<usize>| to.map(|i| (x[k] - x[i]).abs()).sum::<f64>();
    // Sums of distances within the left, within the right, and between; each value moves from right to left once.
    let (mut left, mut between) = (0.0, 0.0);
    let mut right: f64 = (0..n).map(|k| distances(k, k + 1..n)).sum();
    let mut best: Option<(f64, usize)> = None;
    for k in 0..n.saturating_sub(SEGMENT) {
        let (to_left, to_right) = (distances(k, 0..k), distances(k, k + 1..n));
        left += to_left;
        right -= to_right;
        between += to_right - to_left;
        let (a, b) = ((k + 1) as f64, (n - k - 1) as f64);
        if k + 1 < SEGMENT {
            continue;
        }
        let within = 2.0 * left / (a * (a - 1.0)) + 2.0 * right / (b * (b - 1.0));
        let q = a * b / (a + b) * (2.0 * between / (a * b) - within);
        if best.is_none_or(|(most, _)| q > most) {
            best = Some((q, k + 1));
        }
    }
    best.map(|(_, at)| at)
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

/// Whether two sides differ by Welch's t-test, and by enough; where neither varies, any difference counts.
fn differ(a: &[f64], b: &[f64]) -> bool {
    let (ma, mb) = (mean(a), mean(b));
    let share =
        |x: &[f64], m: f64| x.iter().map(|v| (v - m).powi(2)).sum::<f64>() / (x.len() - 1) as f64 / x.len() as f64;
    let (sa, sb) = (share(a, ma), share(b, mb));
    if sa + sb <= 0.0 {
        return ma != mb;
    }
    let freedom = (sa + sb).powi(2) / (sa.powi(2) / (a.len() - 1) as f64 + sb.powi(2) / (b.len() - 1) as f64);
    let t = (mb - ma) / (sa + sb).sqrt();
    let unlikely = StudentsT::new(0.0, 1.0, freedom).is_ok_and(|d| 2.0 * d.cdf(-t.abs()) < LEVEL);
    unlikely && (mb / ma - 1.0).abs() >= SMALLEST
}

/// The changes of a series, in order.
pub fn changes(x: &[f64]) -> Vec<Change> {
    let mut cuts = vec![0, x.len()];
    let mut open = vec![(0, x.len())];
    while let Some((from, to)) = open.pop() {
        let Some(at) = split(&x[from..to]).map(|at| from + at) else { continue };
        let (a, b) = (&x[at.saturating_sub(WINDOW).max(from)..at], &x[at..(at + WINDOW).min(to)]);
        if differ(a, b) {
            cuts.push(at);
            open.extend([(from, at), (at, to)]);
        }
    }
    cuts.sort_unstable();
    let change = |w: &[usize]| Change { at: w[1], before: mean(&x[w[0]..w[1]]), after: mean(&x[w[1]..w[2]]) };
    cuts.windows(3).map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise in [-1, 1), the same every time.
    fn noise(i: usize) -> f64 {
        let x = (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((x ^ (x >> 31)) >> 40) as f64 / (1u64 << 23) as f64 - 1.0
    }

    fn at(x: &[f64]) -> Vec<usize> {
        changes(x).iter().map(|c| c.at).collect()
    }

    #[test]
    fn levels_are_found_where_they_change() {
        let level = |i: usize| [10.0, 12.0, 9.0][i / 20];
        assert_eq!(at(&(0..60).map(|i| level(i) + 0.2 * noise(i)).collect::<Vec<_>>()), [20, 40]);
    }

    #[test]
    fn noise_and_single_outliers_are_no_change() {
        assert_eq!(at(&(0..80).map(|i| 10.0 + 0.5 * noise(i)).collect::<Vec<_>>()), Vec::<usize>::new());
        assert_eq!(
            at(&(0..30).map(|i| if i == 15 { 20.0 } else { 10.0 + 0.1 * noise(i) }).collect::<Vec<_>>()),
            Vec::<usize>::new()
        );
        assert_eq!(at(&[]), Vec::<usize>::new());
        assert_eq!(at(&[1.0, 2.0, 3.0]), Vec::<usize>::new());
    }

    #[test]
    fn exact_numbers_change_by_any_difference() {
        let x: Vec<f64> = (0..12).map(|i| if i < 6 { 1000.0 } else { 1001.0 }).collect();
        assert_eq!(changes(&x), [Change { at: 6, before: 1000.0, after: 1001.0 }]);
    }
}
