//! Ridge regression on a few points, with the error of leaving each out.

use crate::rank::inverse;

/// Penalties that are tried, as shares of the number of points.
const PENALTIES: [f64; 6] = [1e-3, 1e-2, 0.1, 0.3, 1.0, 3.0];

/// A linear model of standardised features.
#[derive(Clone, Debug, PartialEq)]
pub struct Ridge {
    means: Vec<f64>,
    scales: Vec<f64>,
    weights: Vec<f64>,
    mean: f64,
    /// The root of the mean square error when each point is predicted by a model that is fitted without it.
    pub left_out: f64,
}

impl Ridge {
    /// Fits with the penalty of the smallest leave-one-out error.
    ///
    /// `None` for fewer than three points, or where a number is not finite.
    pub fn fit(features: &[Vec<f64>], targets: &[f64]) -> Option<Ridge> {
        let n = targets.len();
        let width = features.first().map(Vec::len)?;
        let finite = |row: &Vec<f64>| row.len() == width && row.iter().all(|v| v.is_finite());
        if n < 3 || features.len() != n || !features.iter().all(finite) || !targets.iter().all(|v| v.is_finite()) {
            return None;
        }
        let mean_of = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / n as f64;
        let means: Vec<f64> = (0..width).map(|k| mean_of(&mut features.iter().map(|row| row[k]))).collect();
        let spread = |k: usize| mean_of(&mut features.iter().map(|row| (row[k] - means[k]).powi(2))).sqrt();
        // A feature that does not vary says nothing: its column is zero.
        let scales: Vec<f64> = (0..width).map(|k| if spread(k) > 0.0 { spread(k) } else { 1.0 }).collect();
        let mean = mean_of(&mut targets.iter().copied());
        let mut ridge = Ridge { means, scales, weights: Vec::new(), mean, left_out: f64::INFINITY };
        let rows: Vec<Vec<f64>> = features.iter().map(|row| ridge.standardised(row)).collect();
        for penalty in PENALTIES.map(|p| p * n as f64) {
            let square = |i: usize, j: usize| {
                rows.iter().map(|row| row[i] * row[j]).sum::<f64>() + if i == j { penalty } else { 0.0 }
            };
            let inverse = inverse((0..width).map(|i| (0..width).map(|j| square(i, j)).collect()).collect())?;
            let times = |v: &[f64]| -> Vec<f64> { inverse.iter().map(|row| dot(row, v)).collect() };
            let moments: Vec<f64> =
                (0..width).map(|k| rows.iter().zip(targets).map(|(row, y)| row[k] * (y - mean)).sum()).collect();
            let weights = times(&moments);
            // The prediction without a point follows from the one with it and the point's leverage.
            let without = |(row, y): (&Vec<f64>, &f64)| {
                let leverage = 1.0 / n as f64 + dot(row, &times(row));
                ((y - mean - dot(row, &weights)) / (1.0 - leverage)).powi(2)
            };
            let left_out = mean_of(&mut rows.iter().zip(targets).map(without)).sqrt();
            if left_out < ridge.left_out {
                ridge = Ridge { weights, left_out, ..ridge };
            }
        }
        ridge.left_out.is_finite().then_some(ridge)
    }

    fn standardised(&self, row: &[f64]) -> Vec<f64> {
        row.iter().zip(self.means.iter().zip(&self.scales)).map(|(v, (mean, scale))| (v - mean) / scale).collect()
    }

    /// What a point should have.
    pub fn predict(&self, features: &[f64]) -> f64 {
        self.mean + dot(&self.standardised(features), &self.weights)
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// `y = 3 + 2 a - b`, the features in different units.
    fn points(n: usize) -> (Vec<Vec<f64>>, Vec<f64>) {
        let a = |i: usize| (i * 7 % 11) as f64;
        let b = |i: usize| 100.0 * (i * 5 % 13) as f64;
        let features: Vec<Vec<f64>> = (0..n).map(|i| vec![a(i), b(i)]).collect();
        let targets = (0..n).map(|i| 3.0 + 2.0 * a(i) - b(i) / 100.0).collect();
        (features, targets)
    }

    #[test]
    fn a_line_is_found() {
        let (features, targets) = points(12);
        let ridge = Ridge::fit(&features, &targets).unwrap();
        for (row, y) in features.iter().zip(&targets) {
            assert!((ridge.predict(row) - y).abs() < 0.05, "{row:?}: {} for {y}", ridge.predict(row));
        }
    }

    /// The error of leaving one out is that of fitting again without it, up to standardisation, which knows all points.
    #[test]
    fn the_error_of_leaving_one_out_is_honest() {
        let (features, mut targets) = points(12);
        // Noise that no line explains.
        targets.iter_mut().enumerate().for_each(|(i, y)| *y += [0.5, -0.8, 0.3, 0.9, -0.6][i % 5]);
        let ridge = Ridge::fit(&features, &targets).unwrap();
        let again = |i: usize| {
            let keep = |j: &usize| *j != i;
            let (x, y): (Vec<_>, Vec<_>) = (0..12).filter(keep).map(|j| (features[j].clone(), targets[j])).unzip();
            (Ridge::fit(&x, &y).unwrap().predict(&features[i]) - targets[i]).powi(2)
        };
        let by_hand = ((0..12).map(again).sum::<f64>() / 12.0).sqrt();
        assert!((ridge.left_out / by_hand - 1.0).abs() < 0.1, "{} and {by_hand}", ridge.left_out);
    }

    #[test]
    fn what_says_nothing_is_left_alone() {
        let features: Vec<Vec<f64>> = (0..6).map(|i| vec![f64::from(i), 4.0]).collect();
        let ridge = Ridge::fit(&features, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert_eq!(ridge.predict(&[2.0, 4.0]), ridge.predict(&[2.0, 9.0]));
        assert_eq!(Ridge::fit(&features[..2], &[0.0, 1.0]), None);
        assert_eq!(Ridge::fit(&features[..3], &[0.0, f64::NAN, 1.0]), None);
    }
}
