//! Stochastic gradient descent with momentum, in PyTorch's form: the velocity does not hold the learning rate.

use mobilenas_torch::ParamStore;
use tch::{TchError, Tensor};

use crate::TrainError;
use crate::recipe;

/// The velocity.
#[derive(Debug)]
pub(super) struct Sgd {
    pub velocity: Tensor,
    pub steps: i64,
    with: recipe::SgdConfig,
}

impl Sgd {
    pub fn new(store: &ParamStore, with: &recipe::SgdConfig) -> Result<Sgd, TrainError> {
        let velocity = store.flat().f_zeros_like().map_err(TrainError::torch)?;
        Ok(Sgd { velocity, steps: 0, with: with.clone() })
    }

    /// What is added to the weights.
    pub fn step(&mut self, grad: &Tensor, lr: f64) -> Result<Tensor, TchError> {
        let recipe::SgdConfig { momentum, nesterov } = self.with;
        self.steps += 1;
        let _ = self.velocity.f_mul_scalar_(momentum)?.f_add_(grad)?;
        match nesterov {
            true => grad.f_add(&self.velocity.f_mul_scalar(momentum)?)?.f_mul_scalar(-lr),
            false => self.velocity.f_mul_scalar(-lr),
        }
    }
}
