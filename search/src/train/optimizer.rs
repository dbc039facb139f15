//! AdamW (Loshchilov and Hutter, 2019) over a store's flat tensor.

use std::collections::BTreeMap;

use mobilenas_torch::Store;
use tch::{TchError, Tensor};

use super::TrainError;

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPS: f64 = 1e-8;

/// AdamW with decay on weights alone: none on biases, norms and tables.
#[derive(Debug)]
pub struct AdamW {
    mean: Tensor,
    square: Tensor,
    steps: i64,
    decay: f64,
}

impl AdamW {
    /// An optimizer at step 0.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn new(store: &Store, decay: f64) -> Result<AdamW, TrainError> {
        let zeros = || store.flat().f_zeros_like().map_err(TrainError::torch);
        Ok(AdamW { mean: zeros()?, square: zeros()?, steps: 0, decay })
    }

    /// Clips the gradient to a norm, then takes one step. Gives the norm before clipping.
    ///
    /// # Errors
    /// When libtorch refuses, or the norm is no finite number: then nothing has changed.
    pub fn step(&mut self, store: &mut Store, lr: f64, clip: f64) -> Result<f64, TrainError> {
        let mut grad = store.flat_grad()?;
        let _guard = tch::no_grad_guard();
        let norm = f64::try_from(grad.f_norm().map_err(TrainError::torch)?).map_err(TrainError::torch)?;
        if !norm.is_finite() {
            return Err(TrainError::NotFinite { what: "the gradient's norm".into(), value: norm });
        }
        if norm > clip {
            grad = grad.f_mul_scalar(clip / (norm + 1e-6)).map_err(TrainError::torch)?;
        }
        self.update(store, &grad, lr).map_err(TrainError::torch)?;
        Ok(norm)
    }

    fn update(&mut self, store: &mut Store, grad: &Tensor, lr: f64) -> Result<(), TchError> {
        self.steps += 1;
        let t = self.steps as i32;
        let _ = self.mean.f_lerp_(grad, 1.0 - BETA1)?;
        let _ = self.square.f_lerp_(&grad.f_square()?, 1.0 - BETA2)?;
        let correct = (1.0 - BETA2.powi(t)).sqrt();
        let below = self.square.f_sqrt()?.f_div_scalar(correct)?.f_add_scalar(EPS)?;
        let move_by = self.mean.f_div(&below)?.f_mul_scalar(-lr / (1.0 - BETA1.powi(t)))?;
        let mut flat = store.flat().shallow_clone();
        let _ = flat.f_narrow(0, 0, store.decayed())?.f_mul_scalar_(1.0 - lr * self.decay)?;
        let _ = flat.f_add_(&move_by)?;
        Ok(())
    }

    /// The optimizer's tensors, for a checkpoint.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        BTreeMap::from([
            ("optimizer.mean".to_string(), self.mean.shallow_clone()),
            ("optimizer.square".to_string(), self.square.shallow_clone()),
            ("optimizer.steps".to_string(), Tensor::from(self.steps)),
        ])
    }

    /// Takes the optimizer's tensors out of a checkpoint's.
    ///
    /// # Errors
    /// When one is missing or misshapen.
    pub fn restore(&mut self, named: &mut BTreeMap<String, Tensor>) -> Result<(), TrainError> {
        for (name, into) in [("optimizer.mean", &mut self.mean), ("optimizer.square", &mut self.square)] {
            let from = named.remove(name).ok_or_else(|| TrainError::checkpoint(name, "is missing"))?;
            if from.size() != into.size() {
                return Err(TrainError::checkpoint(name, "has another size"));
            }
            into.f_copy_(&from).map_err(TrainError::torch)?;
        }
        let steps = named.remove("optimizer.steps");
        let steps = steps.ok_or_else(|| TrainError::checkpoint("optimizer.steps", "is missing"))?;
        self.steps = i64::try_from(steps).map_err(TrainError::torch)?;
        Ok(())
    }
}
