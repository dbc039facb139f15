//! Regression of scores on genomes: ridge or a random forest, whichever has the lower cross-validation error.

use mobilenas_space::{Domain, Genome};
use smartcore::ensemble::random_forest_regressor::{RandomForestRegressor, RandomForestRegressorParameters};
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::linear::ridge_regression::{RidgeRegression, RidgeRegressionParameters};

type Matrix = DenseMatrix<f64>;

/// Folds of the cross-validation.
const FOLDS: usize = 5;

/// Trees of a forest.
const TREES: usize = 60;

/// Weight of the ridge penalty; features lie within 0 and 1.
const ALPHA: f64 = 0.1;

/// A fitted model of one objective.
pub enum Model {
    /// Linear in each knob and its square.
    Ridge(RidgeRegression<f64, f64, Matrix, Vec<f64>>),
    /// A forest of regression trees.
    Forest(RandomForestRegressor<f64, f64, Matrix, Vec<f64>>),
    /// The mean, where nothing better can be fitted.
    Mean(f64),
}

#[derive(Clone, Copy)]
enum Kind {
    Ridge,
    Forest,
}

/// The models' input: the choice of each free knob as a share of its range, and the squares.
pub fn features(domain: &Domain, genome: &Genome) -> Vec<f64> {
    let share = |&i: &usize| f64::from(genome.choices()[i]) / f64::from(domain.counts()[i] - 1);
    let shares = domain.free().iter().map(share);
    shares.clone().chain(shares.map(|x| x * x)).collect()
}

impl Model {
    /// The kind of model with the lower cross-validation error, fitted on all rows.
    pub fn fit(features: &[Vec<f64>], values: &[f64], seed: u64) -> Model {
        let error = |kind| -> f64 {
            let fold = |k: usize| {
                let rows = |held_out: bool| (0..values.len()).filter(move |i| (i % FOLDS == k) == held_out);
                let (x, y): (Vec<_>, Vec<_>) = rows(false).map(|i| (features[i].clone(), values[i])).unzip();
                let model = Model::of(kind, &x, &y, seed);
                let (held_out, truth): (Vec<_>, Vec<_>) = rows(true).map(|i| (features[i].clone(), values[i])).unzip();
                model.predict(&held_out).iter().zip(truth).map(|(p, t)| (p - t).powi(2)).sum::<f64>()
            };
            (0..FOLDS).map(fold).sum()
        };
        let kind = if error(Kind::Forest) < error(Kind::Ridge) { Kind::Forest } else { Kind::Ridge };
        Model::of(kind, features, values, seed)
    }

    fn of(kind: Kind, features: &[Vec<f64>], values: &[f64], seed: u64) -> Model {
        let y = values.to_vec();
        let fitted = matrix(features).and_then(|x| match kind {
            Kind::Ridge => {
                let parameters = RidgeRegressionParameters::default().with_alpha(ALPHA).with_normalize(false);
                RidgeRegression::fit(&x, &y, parameters).ok().map(Model::Ridge)
            }
            Kind::Forest => {
                let parameters = RandomForestRegressorParameters::default()
                    .with_n_trees(TREES)
                    .with_m((features[0].len() / 3).max(1))
                    .with_seed(seed);
                RandomForestRegressor::fit(&x, &y, parameters).ok().map(Model::Forest)
            }
        });
        fitted.unwrap_or_else(|| Model::Mean(values.iter().sum::<f64>() / values.len().max(1) as f64))
    }

    /// One prediction per row of features; NaN where the model fails.
    pub fn predict(&self, features: &[Vec<f64>]) -> Vec<f64> {
        let Some(x) = matrix(features) else { return Vec::new() };
        let predictions = match self {
            Model::Ridge(m) => m.predict(&x).ok(),
            Model::Forest(m) => m.predict(&x).ok(),
            Model::Mean(v) => Some(vec![*v; features.len()]),
        };
        predictions.unwrap_or_else(|| vec![f64::NAN; features.len()])
    }
}

fn matrix(rows: &[Vec<f64>]) -> Option<Matrix> {
    let columns = rows.first()?.len();
    let values = (0..columns).flat_map(|c| rows.iter().map(move |r| r[c])).collect();
    DenseMatrix::new(rows.len(), columns, values, true).ok()
}
