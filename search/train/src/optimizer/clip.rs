//! Clipping of gradients: by their norm, by value, or adaptively, unit by unit.

use mobilenas_torch::ParamStore;
use tch::{TchError, Tensor};

use crate::recipe::ClipConfig;

/// A weight's norm counts as at least so much in adaptive clipping, so that units that begin at zero can grow.
const LEAST: f64 = 1e-3;

/// Clips flat gradients of the given norm.
pub(super) fn clip(how: &ClipConfig, store: &ParamStore, grad: Tensor, norm: f64) -> Result<Tensor, TchError> {
    match (how.norm, how.value, how.adaptive) {
        (Some(most), ..) if norm > most => grad.f_mul_scalar(most / (norm + 1e-6)),
        (None, Some(most), _) => grad.f_clamp(-most, most),
        (None, None, Some(share)) => adaptive(share, store, grad),
        _ => Ok(grad),
    }
}

/// Adaptive gradient clipping (Brock et al., 2021): the gradient of a unit, which is a filter or a row, or a whole tensor
/// of one axis, has at most a share of its weights' norm. Classifiers are left alone.
fn adaptive(share: f64, store: &ParamStore, mut grad: Tensor) -> Result<Tensor, TchError> {
    for (start, tensor) in store.trainable().filter(|(_, name, _)| !classifier(name)).map(|(start, _, t)| (start, t)) {
        let shape = tensor.size();
        let own = grad.f_narrow(0, start, tensor.numel() as i64)?.f_view(shape.as_slice())?;
        let axes: Vec<i64> =
            if shape.len() > 1 { (1..shape.len() as i64).collect() } else { (0..shape.len() as i64).collect() };
        let norm = |t: &Tensor| t.f_norm_scalaropt_dim(2.0, axes.as_slice(), true);
        let most = norm(tensor)?.f_clamp_min(LEAST)?.f_mul_scalar(share)?;
        let factor = most.f_div(&norm(&own)?.f_clamp_min(1e-6)?)?.f_clamp_max(1.0)?;
        let mut own = own;
        let _ = own.f_mul_(&factor)?;
    }
    let _ = &mut grad;
    Ok(grad)
}

/// Whether a tensor belongs to a classifier: by the names that timm's families use.
fn classifier(name: &str) -> bool {
    ["head.", "head_dist.", "classifier."].iter().any(|p| name.starts_with(p))
}
