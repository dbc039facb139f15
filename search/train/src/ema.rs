//! Averaged weights: a share of all state, running statistics too, moves to the mean in every step.

use std::collections::BTreeMap;

use mobilenas_torch::ParamStore;
use tch::{TchError, Tensor};

use super::TrainError;
use super::optimizer::take;
use crate::collective::Collective;

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

    /// Takes a step's state in.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn step(&mut self, store: &ParamStore) -> Result<(), TrainError> {
        let _guard = tch::no_grad_guard();
        let share = 1.0 - self.decay;
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
