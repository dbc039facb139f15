//! Averaged weights (EMA): a share of all state, running statistics too, moves to the mean in every step.
//!
//! The decay warms up, as in TensorFlow's `ExponentialMovingAverage`: it is `(1 + n) / (10 + n)` in step `n` as long as that
//! is below the recipe's. With a constant decay the initial weights would keep a share of `decay^steps`, which ruins short
//! trainings: batch norms' running variances begin at 1.

use std::collections::BTreeMap;

use mobilenas_torch::ParamStore;
use tch::{TchError, Tensor};

use super::TrainError;
use super::optimizer::take;
use crate::collective::Collective;

/// The decay of a step, whose number counts from 0.
fn decay_at(decay: f64, step: u64) -> f64 {
    let step = step as f64;
    decay.min((1.0 + step) / (10.0 + step))
}

/// The averages of a store.
#[derive(Debug)]
pub struct Ema {
    decay: f64,
    flat: Tensor,
    statistics: Vec<(String, Tensor)>,
}

impl Ema {
    /// Averages that begin as the store is.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn new(store: &ParamStore, decay: f64) -> Result<Ema, TrainError> {
        let copy = |t: &Tensor| -> Result<Tensor, TchError> { tch::no_grad(|| t.f_zeros_like()?.f_add(t)) };
        let statistics = store.statistics().map(|(n, t)| Ok((n.clone(), copy(t)?))).collect::<Result<_, TchError>>();
        Ok(Ema {
            decay,
            flat: copy(store.flat()).map_err(TrainError::torch)?,
            statistics: statistics.map_err(TrainError::torch)?,
        })
    }

    /// Takes in the state after a step, whose number counts from 0.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn step(&mut self, store: &ParamStore, step: u64) -> Result<(), TrainError> {
        let _guard = tch::no_grad_guard();
        let share = 1.0 - decay_at(self.decay, step);
        let mut all = || -> Result<(), TchError> {
            let _ = self.flat.f_lerp_(store.flat(), share)?;
            for ((_, mean), (_, now)) in self.statistics.iter_mut().zip(store.statistics()) {
                let _ = mean.f_lerp_(now, share)?;
            }
            Ok(())
        };
        all().map_err(TrainError::torch)
    }

    /// Puts the averages in the store's place.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn move_into(&self, store: &mut ParamStore) -> Result<(), TrainError> {
        let _guard = tch::no_grad_guard();
        store.flat().shallow_clone().f_copy_(&self.flat).map_err(TrainError::torch)?;
        for (name, mean) in &self.statistics {
            store.set(name, mean)?;
        }
        Ok(())
    }

    /// Makes the averages those of rank 0.
    ///
    /// # Errors
    /// When a rank is gone.
    pub(crate) fn broadcast(&self, collective: &dyn Collective) -> Result<(), TrainError> {
        collective.broadcast(&self.flat)?;
        self.statistics.iter().try_for_each(|(_, mean)| Ok(collective.broadcast(mean)?))
    }

    /// The averages, for a checkpoint.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        let mut all: BTreeMap<String, Tensor> =
            self.statistics.iter().map(|(n, t)| (format!("ema.{n}"), t.shallow_clone())).collect();
        all.insert("ema".to_string(), self.flat.shallow_clone());
        all
    }

    /// Takes the averages out of a checkpoint's tensors.
    ///
    /// # Errors
    /// When one is missing or misshapen.
    pub fn restore(&mut self, named: &mut BTreeMap<String, Tensor>) -> Result<(), TrainError> {
        take(named, "ema", &mut self.flat)?;
        for (name, mean) in &mut self.statistics {
            take(named, &format!("ema.{name}"), mean)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::decay_at;

    #[test]
    fn the_decay_warms_up_and_nothing_of_the_first_weights_is_left() {
        assert_eq!(decay_at(0.999, 0), 0.1);
        assert_eq!(decay_at(0.999, 90), 0.91);
        assert_eq!(decay_at(0.999, 10_000), 0.999);
        assert_eq!(decay_at(0.05, 0), 0.05);
        let left: f64 = (0..100).map(|n| decay_at(0.999, n)).product();
        assert!(left < 1e-12, "{left}");
    }
}
