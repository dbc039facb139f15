//! The line fitted on whole networks, and its error on others.

use mobilenas_record::rank;

use super::row::{Correction, Validation};

/// A network's sum of blocks and its measured latency, in ms.
pub type Pair = (f64, f64);

/// The line of least squared relative errors. It needs three networks with two different sums; fewer networks, or a
/// line that would fall, give a factor alone; none gives the sum as it is.
pub fn line(pairs: &[Pair]) -> Correction {
    // Minimises sum(((a + b x) / y - 1)^2): least squares of 1 on u = 1 / y and v = x / y.
    let (mut uu, mut uv, mut vv, mut u, mut v) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (x, y) in pairs {
        let (p, q) = (1.0 / y, x / y);
        uu += p * p;
        uv += p * q;
        vv += q * q;
        u += p;
        v += q;
    }
    let det = uu * vv - uv * uv;
    let slope = (uu * v - uv * u) / det;
    if pairs.len() >= 3 && det > 1e-9 * uu * vv && slope > 0.0 {
        return Correction { offset_ms: (u * vv - v * uv) / det, slope };
    }
    if vv > 0.0 { Correction { offset_ms: 0.0, slope: v / vv } } else { Correction::IDENTITY }
}

/// The sum of squared relative errors of a line.
pub fn loss(line: Correction, pairs: &[Pair]) -> f64 {
    pairs.iter().map(|(x, y)| (line.at(*x) / y - 1.0).powi(2)).sum()
}

/// Validates a line on networks that it was not fitted on; `None` without any.
pub fn validate(line: Correction, fit_nets: usize, pairs: &[Pair]) -> Option<Validation> {
    let n = pairs.len() as f64;
    let (predicted, measured): (Vec<f64>, Vec<f64>) = pairs.iter().map(|(x, y)| (line.at(*x), *y)).unzip();
    let errors: Vec<f64> = predicted.iter().zip(&measured).map(|(p, y)| 100.0 * (p / y - 1.0).abs()).collect();
    let within = |limit: f64| 100.0 * errors.iter().filter(|e| **e <= limit).count() as f64 / n;
    let extreme = |of: fn(f64, f64) -> f64| measured.iter().copied().reduce(of);
    Some(Validation {
        again: 0.0,
        line,
        fit_nets,
        nets: pairs.len(),
        mape: errors.iter().sum::<f64>() / n,
        within_5: within(5.0),
        within_10: within(10.0),
        worst: errors.iter().copied().reduce(f64::max)?,
        tau: rank::kendall(&predicted, &measured),
        uncorrected_mape: pairs.iter().map(|(x, y)| 100.0 * (x / y - 1.0).abs()).sum::<f64>() / n,
        range_ms: [extreme(f64::min)?, extreme(f64::max)?],
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const FIT: [Pair; 6] = [(1.0, 1.32), (2.0, 2.31), (3.5, 3.7), (4.1, 4.6), (5.9, 6.0), (8.0, 8.4)];
    const OTHERS: [Pair; 5] = [(1.5, 1.8), (2.5, 2.9), (3.0, 3.6), (6.0, 6.1), (7.0, 5.9)];

    /// Made with scipy 1.17 and numpy: `np.linalg.lstsq` of ones on (1/y, x/y), and `kendalltau`.
    #[test]
    fn the_line_and_its_figures_equal_scipys() {
        let line = line(&FIT);
        assert!((line.offset_ms - 0.3256919763544983).abs() < 1e-9, "{line:?}");
        assert!((line.slope - 0.992618406555718).abs() < 1e-9, "{line:?}");
        let v = validate(line, FIT.len(), &OTHERS).unwrap();
        assert!((v.mape - 7.701597570889018).abs() < 1e-9, "{v:?}");
        assert!((v.tau.unwrap() - 0.7999999999999999).abs() < 1e-9, "{v:?}");
        assert!((v.worst - 23.288488512619043).abs() < 1e-9, "{v:?}");
        assert_eq!((v.nets, v.fit_nets, v.range_ms), (5, 6, [1.8, 6.1]));
        assert_eq!((v.within_5, v.within_10), (60.0, 80.0));
    }

    #[test]
    fn an_exact_line_is_found_and_judged_faultless() {
        let pairs: Vec<Pair> = (1..20).map(|i| f64::from(i) * 0.3).map(|x| (x, 0.25 + 1.1 * x)).collect();
        let line = line(&pairs[..9]);
        assert!((line.offset_ms - 0.25).abs() < 1e-9 && (line.slope - 1.1).abs() < 1e-9, "{line:?}");
        let v = validate(line, 9, &pairs[9..]).unwrap();
        assert!(v.mape < 1e-6 && v.within_5 == 100.0 && v.tau == Some(1.0), "{v:?}");
        assert!(v.uncorrected_mape > 5.0, "{v:?}");
    }

    #[test]
    fn few_networks_give_a_factor_and_none_the_sum() {
        assert_eq!(line(&[]), Correction::IDENTITY);
        let two = line(&[(1.0, 2.0), (2.0, 4.0)]);
        assert_eq!((two.offset_ms, two.slope), (0.0, 2.0));
        let same = line(&[(1.0, 2.0), (1.0, 2.0), (1.0, 2.0)]);
        assert_eq!((same.offset_ms, same.slope), (0.0, 2.0));
        assert_eq!(validate(Correction::IDENTITY, 0, &[]), None);
    }

    #[test]
    fn more_work_is_never_less_time() {
        let line = line(&[(1.0, 2.5), (2.0, 2.0), (3.0, 1.5)]);
        assert!(line.slope > 0.0 && line.offset_ms == 0.0, "{line:?}");
    }
}
