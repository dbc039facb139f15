//! Regression of scores on genomes: ridge or a random forest, whichever foretells better what it was not fitted on.

use mobilenas_space::Genome;
use smartcore::ensemble::random_forest_regressor::{RandomForestRegressor, RandomForestRegressorParameters};
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::linear::ridge_regression::{RidgeRegression, RidgeRegressionParameters};

type Matrix = DenseMatrix<f64>;

/// Parts of a cross-validation.
const FOLDS: usize = 5;

/// Trees of a forest.
const TREES: usize = 60;

/// Weight of ridge's penalty; features lie within 0 and 1.
const ALPHA: f64 = 0.1;

/// A fitted model of one number.
pub enum Model {
    /// Linear in each knob and its square.
    Ridge(RidgeRegression<f64, f64, Matrix, Vec<f64>>),
    /// A forest of regression trees.
    Forest(RandomForestRegressor<f64, f64, Matrix, Vec<f64>>),
    /// The mean, where nothing better can be fitted.
    Mean(f64),
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Model::Ridge(_) => "Ridge",
            Model::Forest(_) => "Forest",
            Model::Mean(_) => "Mean",
        })
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Ridge,
    Forest,
}

/// What models read: each free knob's choice as a share of its range, and the squares.
pub fn features(genome: &Genome, counts: &[u8], free: &[usize]) -> Vec<f64> {
    let shares = free.iter().map(|&i| f64::from(genome.choices()[i]) / f64::from(counts[i] - 1));
    shares.clone().chain(shares.map(|x| x * x)).collect()
}

impl Model {
    /// The model that is better in cross-validation, fitted on all.
    pub fn fit(features: &[Vec<f64>], values: &[f64], seed: u64) -> Model {
        let error = |kind| -> f64 {
            let fold = |k: usize| {
                let rows = |held: bool| (0..values.len()).filter(move |i| (i % FOLDS == k) == held);
                let (x, y): (Vec<_>, Vec<_>) = rows(false).map(|i| (features[i].clone(), values[i])).unzip();
                let model = Model::of(kind, &x, &y, seed);
                let (held, truth): (Vec<_>, Vec<_>) = rows(true).map(|i| (features[i].clone(), values[i])).unzip();
                model.predict(&held).iter().zip(truth).map(|(p, t)| (p - t).powi(2)).sum::<f64>()
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
                let how = RidgeRegressionParameters::default().with_alpha(ALPHA).with_normalize(false);
                RidgeRegression::fit(&x, &y, how).ok().map(Model::Ridge)
            }
            Kind::Forest => {
                let how = RandomForestRegressorParameters::default()
                    .with_n_trees(TREES)
                    .with_m((features[0].len() / 3).max(1))
                    .with_seed(seed);
                RandomForestRegressor::fit(&x, &y, how).ok().map(Model::Forest)
            }
        });
        fitted.unwrap_or_else(|| Model::Mean(values.iter().sum::<f64>() / values.len().max(1) as f64))
    }

    /// A value for each row of features.
    pub fn predict(&self, features: &[Vec<f64>]) -> Vec<f64> {
        let Some(x) = matrix(features) else { return Vec::new() };
        let said = match self {
            Model::Ridge(m) => m.predict(&x).ok(),
            Model::Forest(m) => m.predict(&x).ok(),
            Model::Mean(v) => Some(vec![*v; features.len()]),
        };
        said.unwrap_or_else(|| vec![f64::NAN; features.len()])
    }
}

fn matrix(rows: &[Vec<f64>]) -> Option<Matrix> {
    let columns = rows.first()?.len();
    let values = (0..columns).flat_map(|c| rows.iter().map(move |r| r[c])).collect();
    DenseMatrix::new(rows.len(), columns, values, true).ok()
}
