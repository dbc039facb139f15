//! Networks retrained from scratch, with how far their test top-1 can be trusted.

use crate::Frame;
use crate::record::{Retrained, metric};

/// One network with all its retrainings.
#[derive(Clone, Debug, PartialEq)]
pub struct Winner {
    /// The trial it was.
    pub trial: u64,
    /// Digest of its graph.
    pub digest: String,
    /// Its retrainings, as the journal has them.
    pub runs: Vec<Retrained>,
    /// Mean test top-1 over the retrainings, percent, and the ends of its error bar.
    pub top1: Option<Interval>,
}

/// A value with an error bar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The value.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// What the error bars show, in words, for captions.
pub const BARS: &str = "Error bars of test top-1: with several retrainings of a network, the mean and one standard \
    deviation over their seeds; with one, the 95 % Wilson interval for the number of test images, which knows nothing \
    of the seed.";

/// All retrained networks, best first.
pub fn winners(f: &Frame) -> Vec<Winner> {
    let mut all: Vec<Winner> = Vec::new();
    for r in &f.retrained {
        match all.iter_mut().find(|w| w.trial == r.trial) {
            Some(w) => w.runs.push(r.clone()),
            None => all.push(Winner { trial: r.trial, digest: r.digest.clone(), runs: vec![r.clone()], top1: None }),
        }
    }
    for w in &mut all {
        let tops: Vec<f64> = w.runs.iter().filter_map(top1).collect();
        w.top1 = interval(&tops, f.run.dataset.test);
    }
    let key = |w: &Winner| w.top1.map_or(f64::NEG_INFINITY, |t| t.value);
    all.sort_by(|a, b| key(b).total_cmp(&key(a)).then(a.trial.cmp(&b.trial)));
    all
}

/// Test top-1 of one retraining, if it is a number.
pub fn top1(r: &Retrained) -> Option<f64> {
    r.metrics.get(metric::TEST_TOP1).copied().filter(|v| v.is_finite())
}

/// Mean and error bar of test top-1s, percent, one a training, over so many images; see [`BARS`].
pub fn interval(tops: &[f64], images: usize) -> Option<Interval> {
    match tops {
        [] => None,
        [one] => Some(wilson(*one, images)),
        many => {
            let n = many.len() as f64;
            let mean = many.iter().sum::<f64>() / n;
            let deviation = (many.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
            Some(Interval { value: mean, low: mean - deviation, high: mean + deviation })
        }
    }
}

/// The 95 % Wilson score interval of a share in percent over `images`. Source: E. B. Wilson, 1927.
pub fn wilson(percent: f64, images: usize) -> Interval {
    if images == 0 {
        return Interval { value: percent, low: percent, high: percent };
    }
    let (z, n, p) = (1.959_963_984_540_054, images as f64, (percent / 100.0).clamp(0.0, 1.0));
    let centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    Interval { value: percent, low: 100.0 * (centre - half), high: 100.0 * (centre + half) }
}

/// Kendall's tau-b between two lists of equal length: 1 for the same order, -1 for the reverse. `None` below three pairs,
/// or if all values of one list are equal.
pub fn kendall(pairs: &[(f64, f64)]) -> Option<f64> {
    if pairs.len() < 3 {
        return None;
    }
    let (mut score, mut left, mut right) = (0.0, 0.0, 0.0);
    for (i, a) in pairs.iter().enumerate() {
        for b in &pairs[i + 1..] {
            let sign = |d: f64| if d == 0.0 { 0.0 } else { d.signum() };
            let (x, y) = (sign(a.0 - b.0), sign(a.1 - b.1));
            score += x * y;
            left += x * x;
            right += y * y;
        }
    }
    (left > 0.0 && right > 0.0).then(|| score / (left * right).sqrt())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn wilson_by_hand() {
        // 8 of 10: 0.4902 to 0.9433, as in R's binom.confint(8, 10, methods = "wilson").
        let i = wilson(80.0, 10);
        assert!((i.low - 49.02).abs() < 0.01 && (i.high - 94.33).abs() < 0.01, "{i:?}");
        assert!(wilson(100.0, 500).high <= 100.0 + 1e-9 && wilson(0.0, 500).low.abs() < 1e-9);
        assert_eq!(wilson(50.0, 0).low, 50.0);
    }

    #[test]
    fn several_seeds_give_their_own_spread() {
        let i = interval(&[80.0, 82.0], 100).unwrap();
        assert!((i.value - 81.0).abs() < 1e-12 && (i.high - i.low - 2.0 * 2.0f64.sqrt()).abs() < 1e-12);
        assert_eq!(interval(&[], 100), None);
    }

    #[test]
    fn kendall_by_hand() {
        assert_eq!(kendall(&[(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]), Some(1.0));
        assert_eq!(kendall(&[(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)]), Some(-1.0));
        // One tie on the right: 2 of 3 pairs agree, tau-b = 2 / sqrt(3 · 2).
        let tied = kendall(&[(1.0, 1.0), (2.0, 1.0), (3.0, 2.0)]).unwrap();
        assert!((tied - 2.0 / 6.0f64.sqrt()).abs() < 1e-12);
        assert_eq!(kendall(&[(1.0, 1.0), (2.0, 2.0)]), None);
        assert_eq!(kendall(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]), None);
    }
}
