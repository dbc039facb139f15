//! Whether all numbers of a store are finite.

use mobilenas_torch::ParamStore;
use tch::{TchError, Tensor};

use super::TrainError;

fn sound(t: &Tensor) -> Result<bool, TchError> {
    t.f_isfinite()?.f_all().and_then(bool::try_from)
}

/// Name of the first tensor that is not finite, or whose gradient is not.
///
/// # Errors
/// When libtorch refuses.
pub fn first(store: &ParamStore) -> Result<Option<String>, TrainError> {
    let look = || -> Result<Option<String>, TchError> {
        for (name, entry) in store.entries() {
            if entry.tensor.is_floating_point() && !sound(&entry.tensor)? {
                return Ok(Some(name.clone()));
            }
        }
        Ok(None)
    };
    look().map_err(TrainError::torch)
}
