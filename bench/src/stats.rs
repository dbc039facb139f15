//! Order statistics of samples, intervals of the median, and the bootstrap of timed rounds.

use mobilenas_record::quantile::of_sorted as quantile_of_sorted;
pub use mobilenas_record::quantile::{median, quantile};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use statrs::distribution::{Beta, Binomial, ContinuousCDF as _, DiscreteCDF as _};

/// The smallest sample; `None` without samples.
pub fn minimum(samples: &[f64]) -> Option<f64> {
    samples.iter().copied().min_by(f64::total_cmp)
}

/// An interval that holds the median of what the samples were drawn from with at least the given confidence, whatever
/// its distribution: between two order statistics. `None` if there are too few samples for it.
pub fn median_interval(samples: &[f64], confidence: f64) -> Option<(f64, f64)> {
    let n = samples.len() as u64;
    let tail = (1.0 - confidence) / 2.0;
    let below = Binomial::new(0.5, n).ok()?;
    // The largest rank whose chance of lying above the median is within the tail: the last before the first that is
    // not.
    let (mut from, mut to) = (0, n / 2);
    while from < to {
        let middle = (from + to) / 2;
        if below.cdf(middle) <= tail { from = middle + 1 } else { to = middle }
    }
    let rank = from.checked_sub(1)? as usize;
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    Some((sorted[rank], sorted[sorted.len() - 1 - rank]))
}

/// An interval that holds a share with at least the given confidence, when `hits` of `trials` had it (Clopper and
/// Pearson).
pub fn share(hits: usize, trials: usize, confidence: f64) -> [f64; 2] {
    let (k, n, tail) = (hits as f64, trials as f64, (1.0 - confidence) / 2.0);
    let at = |a: f64, b: f64, q: f64| Beta::new(a, b).map(|beta| beta.inverse_cdf(q)).ok();
    // With no hits, or nothing else, one end is certain.
    let low = at(k, n - k + 1.0, tail).filter(|_| hits > 0).unwrap_or(0.0);
    let high = at(k + 1.0, n - k, 1.0 - tail).filter(|_| hits < trials).unwrap_or(1.0);
    [low, high]
}

/// A median with one-sided bounds, in the units of the samples.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Interval {
    /// The median of all samples.
    pub middle: f64,
    /// Below it with probability `1 - lower` only.
    pub low: f64,
    /// Above it with probability `1 - upper` only.
    pub high: f64,
}

/// How a bootstrap is done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bootstrap {
    /// Resamples.
    pub resamples: usize,
    /// Probability below the lower bound.
    pub lower: f64,
    /// Probability above the upper bound.
    pub upper: f64,
    /// Every random choice derives from it.
    pub seed: u64,
}

impl Bootstrap {
    /// Bounds of the median over rounds of samples, by resampling rounds with replacement and then samples within each:
    /// each process draws a speed of its own, so that samples of one round are no independent witnesses.
    /// `None` without rounds, or with an empty one.
    pub fn two_level(&self, rounds: &[Vec<f64>]) -> Option<Interval> {
        if rounds.is_empty() || rounds.iter().any(Vec::is_empty) {
            return None;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut medians = Vec::with_capacity(self.resamples);
        let mut pool = Vec::with_capacity(rounds.iter().map(Vec::len).sum());
        for _ in 0..self.resamples.max(1) {
            pool.clear();
            for _ in rounds {
                let round = &rounds[rng.random_range(0..rounds.len())];
                pool.extend((0..round.len()).map(|_| round[rng.random_range(0..round.len())]));
            }
            medians.push(median_in_place(&mut pool));
        }
        medians.sort_by(f64::total_cmp);
        Some(Interval {
            middle: median(&rounds.concat())?,
            low: quantile_of_sorted(&medians, self.lower)?,
            high: quantile_of_sorted(&medians, 1.0 - self.upper)?,
        })
    }
}

/// Median of values that are there, without sorting them all.
fn median_in_place(values: &mut [f64]) -> f64 {
    let half = values.len() / 2;
    let even = values.len().is_multiple_of(2);
    let (below, upper, _) = values.select_nth_unstable_by(half, f64::total_cmp);
    let upper = *upper;
    if even { (upper + below.iter().copied().fold(f64::NEG_INFINITY, f64::max)) / 2.0 } else { upper }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn intervals_of_a_share_stand_in_tables() {
        let close = |found: [f64; 2], expected: [f64; 2]| {
            let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(off < 5e-5, "{found:?}, expected {expected:?}");
        };
        // As R's binom.test: 8 of 10, 85 of 100; none of n leaves 1 - 0.025^(1/n).
        close(share(8, 10, 0.95), [0.4439, 0.9748]);
        close(share(85, 100, 0.95), [0.7647, 0.9135]);
        close(share(0, 200, 0.95), [0.0, 1.0 - 0.025f64.powf(1.0 / 200.0)]);
        close(share(200, 200, 0.95), [0.025f64.powf(1.0 / 200.0), 1.0]);
        close(share(0, 0, 0.95), [0.0, 1.0]);
    }

    #[test]
    fn the_median_of_a_pool_is_that_of_the_sorted_one() {
        assert_eq!(median_in_place(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median_in_place(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median_in_place(&mut [7.0]), 7.0);
    }

    #[test]
    fn intervals_of_the_median_stand_in_tables() {
        // Ranks 2 and 9 of 10, 6 and 15 of 20: the tables of the sign test at 95 %.
        let upto = |n: u32| (1..=n).map(f64::from).collect::<Vec<_>>();
        assert_eq!(median_interval(&upto(10), 0.95), Some((2.0, 9.0)));
        assert_eq!(median_interval(&upto(20), 0.95), Some((6.0, 15.0)));
        assert_eq!(median_interval(&upto(5), 0.95), None);
    }

    fn normal(rng: &mut ChaCha8Rng) -> f64 {
        (0..12).map(|_| rng.random_range(0.0..1.0)).sum::<f64>() - 6.0
    }

    fn made(rng: &mut ChaCha8Rng, k: usize, shift: f64, between: f64, within: f64) -> Vec<Vec<f64>> {
        let round = |rng: &mut ChaCha8Rng| {
            let own = shift + between * normal(rng);
            (0..12).map(|_| own + within * normal(rng)).collect()
        };
        (0..k).map(|_| round(rng)).collect()
    }

    #[test]
    fn two_levels_see_that_processes_differ() {
        let (mut rng, boot) =
            (ChaCha8Rng::seed_from_u64(7), Bootstrap { resamples: 500, lower: 0.05, upper: 0.05, seed: 1 });
        let mut width = |between, within| {
            let all = (0..40).map(|_| boot.two_level(&made(&mut rng, 8, 0.0, between, within)).unwrap());
            all.map(|i| i.high - i.low).sum::<f64>() / 40.0
        };
        let (same, differ) = (width(0.0, 0.02), width(0.02, 0.001));
        // 96 samples of spread 0.02, against 8 processes of that spread.
        assert!(differ > 2.0 * same, "{same} {differ}");
    }

    #[test]
    fn a_lower_bound_is_right_about_as_often_as_it_says() {
        let (mut rng, boot) =
            (ChaCha8Rng::seed_from_u64(3), Bootstrap { resamples: 400, lower: 0.05, upper: 0.05, seed: 1 });
        let above = (0..400).filter(|_| boot.two_level(&made(&mut rng, 12, 0.0, 0.02, 0.01)).unwrap().low > 0.0);
        let share = above.count() as f64 / 400.0;
        // 5 %, and some more since 12 rounds are few; within four standard errors of 8 %.
        assert!((0.01..0.134).contains(&share), "{share}");
    }

    #[test]
    fn the_same_seed_gives_the_same_bounds() {
        let rounds = made(&mut ChaCha8Rng::seed_from_u64(5), 4, 0.05, 0.01, 0.01);
        let boot = Bootstrap { resamples: 200, lower: 0.05, upper: 0.05, seed: 9 };
        assert_eq!(boot.two_level(&rounds), boot.two_level(&rounds));
        assert_ne!(boot.two_level(&rounds), Bootstrap { seed: 10, ..boot }.two_level(&rounds));
        assert_eq!(boot.two_level(&[]), None);
    }
}
