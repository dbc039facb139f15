//! AdamW (Loshchilov and Hutter, 2019).

use mobilenas_torch::ParamStore;
use tch::{TchError, Tensor};

use crate::TrainError;
use crate::recipe;

/// Means of gradients and of their squares.
#[derive(Debug)]
pub(super) struct AdamW {
    pub mean: Tensor,
    pub square: Tensor,
    pub steps: i64,
    with: recipe::AdamWConfig,
}

impl AdamW {
    pub fn new(store: &ParamStore, with: &recipe::AdamWConfig) -> Result<AdamW, TrainError> {
        let zeros = || store.flat().f_zeros_like().map_err(TrainError::torch);
        Ok(AdamW { mean: zeros()?, square: zeros()?, steps: 0, with: with.clone() })
    }

    /// What is added to the weights.
    pub fn step(&mut self, grad: &Tensor, lr: f64) -> Result<Tensor, TchError> {
        let recipe::AdamWConfig { beta1, beta2, eps } = self.with;
        self.steps += 1;
        let t = self.steps as i32;
        let _ = self.mean.f_lerp_(grad, 1.0 - beta1)?;
        let _ = self.square.f_lerp_(&grad.f_square()?, 1.0 - beta2)?;
        let correct = (1.0 - beta2.powi(t)).sqrt();
        let below = self.square.f_sqrt()?.f_div_scalar(correct)?.f_add_scalar(eps)?;
        self.mean.f_div(&below)?.f_mul_scalar(-lr / (1.0 - beta1.powi(t)))
    }
}
