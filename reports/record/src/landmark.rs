//! Landmarks of a search, and how they correct the scores of others.

use serde::{Deserialize, Serialize};

use crate::ridge::Ridge;

/// A trial that was trained as winners are and scored on the search-validation split. A ridge regression on all landmarks
/// predicts what such a training would give the other trials, and winners are chosen by that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Landmark {
    /// The trial.
    pub trial: u64,
    /// The first objective as it was known before: with inherited weights, or after fine-tuning.
    pub score: f64,
    /// Multiply-accumulates of one image.
    pub macs: f64,
    /// Learnable parameters.
    pub params: f64,
    /// The same objective after training from scratch.
    pub trained: f64,
    /// Epochs of the training.
    pub epochs: f64,
    /// Seconds it took, resumed parts together.
    pub seconds: f64,
    /// Whether its training began with the supernet's weights, not with new ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inherited: bool,
}

impl Landmark {
    /// What a correction knows of a network: its score and the logarithms of its MACs and parameters.
    pub fn features(score: f64, macs: f64, params: f64) -> Vec<f64> {
        vec![score, macs.ln(), params.ln()]
    }

    /// The correction; `None` for fewer than three landmarks.
    pub fn correction(all: &[Landmark]) -> Option<Ridge> {
        let features: Vec<Vec<f64>> = all.iter().map(|l| Landmark::features(l.score, l.macs, l.params)).collect();
        Ridge::fit(&features, &all.iter().map(|l| l.trained).collect::<Vec<f64>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn landmark(trial: u64, score: f64, params: f64, trained: f64) -> Landmark {
        Landmark { trial, score, macs: 1e6, params, trained, epochs: 4.0, seconds: 1.0, inherited: false }
    }

    #[test]
    fn a_correction_learns_what_size_gives() {
        // Scores are alike, and each doubling of the parameters gives half a point.
        let all: Vec<Landmark> = (0..6u32)
            .map(|i| {
                landmark(
                    u64::from(i),
                    90.0 + f64::from(i % 2) * 0.01,
                    5e4 * 2f64.powi(i as i32),
                    88.0 + 0.5 * f64::from(i),
                )
            })
            .collect();
        let found = Landmark::correction(&all).map(|c| c.predict(&Landmark::features(90.0, 1e6, 1e5 * 2f64.sqrt())));
        assert!(found.is_some_and(|found| (found - 88.75).abs() < 0.05), "{found:?}");
        assert!(Landmark::correction(&all[..2]).is_none());
    }
}
