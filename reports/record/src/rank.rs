//! Whether two lists of numbers put things in the same order.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};

/// Kendall's tau-b of pairs: 1 for the same order, -1 for the reverse, 0 for none; ties count for neither.
///
/// `None` for fewer than two pairs, where one list is all ties, or where a number is not finite. Takes O(n²).
pub fn kendall(a: &[f64], b: &[f64]) -> Option<f64> {
    kendall_within(a, b, &vec![0; a.len()])
}

/// Kendall's tau-b over the pairs of one stratum alone: whether `a` and `b` agree where a third quantity, by which the
/// strata were made, is about equal. `None` as for [`kendall`].
pub fn kendall_within(a: &[f64], b: &[f64], strata: &[usize]) -> Option<f64> {
    let n = usable(a, b).filter(|n| strata.len() == *n)?;
    let (mut agree, mut untied_a, mut untied_b) = (0i64, 0i64, 0i64);
    for i in 0..n {
        for j in (i + 1..n).filter(|j| strata[*j] == strata[i]) {
            let (x, y) = (sign(a[i], a[j]), sign(b[i], b[j]));
            agree += x * y;
            untied_a += x.abs();
            untied_b += y.abs();
        }
    }
    let scale = (untied_a as f64 * untied_b as f64).sqrt();
    (scale > 0.0).then(|| agree as f64 / scale)
}

/// The stratum of each value, from 0: as many strata of about equal size as asked for, in ascending order.
pub fn strata(values: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|i, j| values[*i].total_cmp(&values[*j]));
    let mut out = vec![0; values.len()];
    for (place, i) in order.into_iter().enumerate() {
        out[i] = place * count / values.len();
    }
    out
}

/// Partial Kendall's tau-b of `a` and `b` given other quantities: their agreement beyond what the others explain, from
/// the inverse `p` of the matrix of all taus, `-p_ab / sqrt(p_aa p_bb)`. Source: S. Kim, ppcor, 2015.
///
/// `None` as for [`kendall`], and where one quantity orders as another does, so that the matrix has no inverse.
pub fn partial_kendall(a: &[f64], b: &[f64], given: &[&[f64]]) -> Option<f64> {
    let all: Vec<&[f64]> = [a, b].into_iter().chain(given.iter().copied()).collect();
    let row = |x: &&[f64]| all.iter().map(|y| kendall(x, y)).collect::<Option<Vec<f64>>>();
    let inverse = inverse(all.iter().map(row).collect::<Option<Vec<_>>>()?)?;
    let scale = inverse[0][0] * inverse[1][1];
    (scale > 0.0).then(|| -inverse[0][1] / scale.sqrt())
}

/// The inverse by Gauss and Jordan with pivots; `None` for a singular matrix.
pub(crate) fn inverse(mut rows: Vec<Vec<f64>>) -> Option<Vec<Vec<f64>>> {
    let n = rows.len();
    for (i, row) in rows.iter_mut().enumerate() {
        row.extend((0..n).map(|j| f64::from(u8::from(i == j))));
    }
    for i in 0..n {
        let pivot = (i..n).max_by(|p, q| rows[*p][i].abs().total_cmp(&rows[*q][i].abs()))?;
        rows.swap(i, pivot);
        let scale = rows[i][i];
        if scale.abs() < 1e-9 {
            return None;
        }
        rows[i].iter_mut().for_each(|v| *v /= scale);
        let pivot = rows[i].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(j, _)| *j != i) {
            let factor = row[i];
            row.iter_mut().zip(&pivot).for_each(|(v, p)| *v -= factor * p);
        }
    }
    Some(rows.into_iter().map(|row| row[n..].to_vec()).collect())
}

/// Spearman's rho of pairs: Pearson's correlation of their ranks, ties at the mean of theirs.
///
/// `None` as for [`kendall`].
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    usable(a, b)?;
    pearson(&ranks(a), &ranks(b))
}

/// The middle 95 % of a statistic over resampled pairs (the percentile bootstrap), in so many rounds.
///
/// `None` where the statistic itself is, or where it is for most of the rounds.
pub fn interval(
    a: &[f64],
    b: &[f64],
    statistic: fn(&[f64], &[f64]) -> Option<f64>,
    rounds: usize,
    seed: u64,
) -> Option<[f64; 2]> {
    statistic(a, b)?;
    let of = |items: &[usize]| {
        let (x, y): (Vec<f64>, Vec<f64>) = items.iter().map(|i| (a[*i], b[*i])).unzip();
        statistic(&x, &y)
    };
    bootstrap(a.len(), of, rounds, seed)
}

/// The middle 95 % of a statistic over resampled items (the percentile bootstrap), in so many rounds. `statistic` is
/// given indices below `n`, some of them more than once.
///
/// `None` where the statistic is for most of the rounds.
pub fn bootstrap(n: usize, statistic: impl Fn(&[usize]) -> Option<f64>, rounds: usize, seed: u64) -> Option<[f64; 2]> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut items = vec![0; n];
    let once = |_| {
        items.iter_mut().for_each(|i| *i = rng.random_range(0..n));
        statistic(&items)
    };
    let mut all: Vec<f64> = (0..rounds).filter_map(once).collect();
    all.sort_by(f64::total_cmp);
    let at = |share: f64| all[((all.len() - 1) as f64 * share).round() as usize];
    (all.len() * 2 > rounds).then(|| [at(0.025), at(0.975)])
}

fn usable(a: &[f64], b: &[f64]) -> Option<usize> {
    let fit = a.len() == b.len() && a.len() > 1 && a.iter().chain(b).all(|v| v.is_finite());
    fit.then_some(a.len())
}

fn sign(x: f64, y: f64) -> i64 {
    i64::from(x > y) - i64::from(x < y)
}

/// Ranks from 1, ties at their mean.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|i, j| values[*i].total_cmp(&values[*j]));
    let mut out = vec![0.0; values.len()];
    let mut begin = 0;
    while begin < order.len() {
        let mut end = begin + 1;
        while end < order.len() && sign(values[order[end]], values[order[begin]]) == 0 {
            end += 1;
        }
        let mean = (begin + 1 + end) as f64 / 2.0;
        order[begin..end].iter().for_each(|i| out[*i] = mean);
        begin = end;
    }
    out
}

fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let n = a.len() as f64;
    let (ma, mb) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let sum = |f: fn(f64, f64) -> f64| a.iter().zip(b).map(|(x, y)| f(x - ma, y - mb)).sum::<f64>();
    let scale = (sum(|x, _| x * x) * sum(|_, y| y * y)).sqrt();
    (scale > 0.0).then(|| sum(|x, y| x * y) / scale)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Made with scipy 1.17: `scipy.stats.kendalltau` and `spearmanr`.
    #[test]
    fn they_equal_scipys() {
        let a = [12.0, 2.0, 1.0, 12.0, 2.0, 7.5];
        let b = [1.0, 4.0, 7.0, 1.0, 0.0, 3.0];
        assert!((kendall(&a, &b).unwrap() - -0.518_874_521_662_770_9).abs() < 1e-12);
        assert!((spearman(&a, &b).unwrap() - -0.537_373_290_623_878_8).abs() < 1e-12);
    }

    #[test]
    fn order_alone_counts() {
        let a: Vec<f64> = (0..20).map(f64::from).collect();
        let up: Vec<f64> = a.iter().map(|v| v.exp()).collect();
        let down: Vec<f64> = a.iter().map(|v| -v).collect();
        for statistic in [kendall, spearman] {
            assert!((statistic(&a, &up).unwrap() - 1.0).abs() < 1e-12);
            assert!((statistic(&a, &down).unwrap() + 1.0).abs() < 1e-12);
            assert_eq!(statistic(&a, &[1.0; 20]), None, "all tied");
            assert_eq!(statistic(&a[..1], &up[..1]), None);
            assert_eq!(statistic(&a[..2], &[f64::NAN, 1.0]), None);
            assert_eq!(statistic(&a[..3], &up[..2]), None);
        }
    }

    #[test]
    fn an_interval_holds_the_value_and_narrows_with_more() {
        let pairs = |n: u32| -> (Vec<f64>, Vec<f64>) {
            (0..n).map(|i| (f64::from(i), f64::from(i) + 9.0 * f64::from(i * 7 % 5))).unzip()
        };
        let width = |n| {
            let (a, b) = pairs(n);
            let [low, high] = interval(&a, &b, kendall, 500, 1).unwrap();
            let tau = kendall(&a, &b).unwrap();
            assert!(low <= tau && tau <= high, "{low} {tau} {high}");
            assert_eq!(interval(&a, &b, kendall, 500, 1), Some([low, high]), "the same seed, the same interval");
            high - low
        };
        assert!(width(100) < width(12));
    }

    #[test]
    fn ties_by_hand() {
        // One tie on the right: 2 of 3 pairs agree, tau-b = 2 / sqrt(3 x 2).
        let tied = kendall(&[1.0, 2.0, 3.0], &[1.0, 1.0, 2.0]).unwrap();
        assert!((tied - 2.0 / 6.0f64.sqrt()).abs() < 1e-12);
        assert_eq!(kendall(&[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0]), None);
    }

    /// Made with numpy 2.4 and scipy 1.17: the inverse of the matrix of `kendalltau`s.
    #[test]
    fn partial_tau_equals_numpys() {
        let a = [1.0, 3.0, 2.0, 5.0, 4.0, 7.0, 6.0, 8.0];
        let b = [2.0, 1.0, 4.0, 3.0, 6.0, 5.0, 8.0, 7.0];
        let macs = [1.0, 2.0, 3.0, 5.0, 4.0, 6.0, 8.0, 7.0];
        let params = [3.0, 1.0, 2.0, 4.0, 8.0, 5.0, 6.0, 7.0];
        assert!((partial_kendall(&a, &b, &[&macs, &params]).unwrap() - -0.1964285714285718).abs() < 1e-12);
        assert!((partial_kendall(&a, &b, &[]).unwrap() - kendall(&a, &b).unwrap()).abs() < 1e-12);
        assert_eq!(partial_kendall(&a, &b, &[&macs, &macs]), None, "two quantities that are one");
    }

    #[test]
    fn within_strata_only_their_own_pairs_count() {
        let (a, b) = ([1.0, 2.0, 10.0, 20.0], [2.0, 1.0, 20.0, 10.0]);
        assert!(kendall(&a, &b).unwrap() > 0.0);
        assert_eq!(strata(&a, 2), [0, 0, 1, 1]);
        assert_eq!(kendall_within(&a, &b, &strata(&a, 2)), Some(-1.0));
        assert_eq!(strata(&[5.0, 1.0, 3.0, 2.0, 4.0], 3), [2, 0, 1, 0, 1]);
    }
}
