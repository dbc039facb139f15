//! The weights of a fused layer: those of its convolution or linear layer, with the scales around it multiplied in.

use tch::{Kind, TchError, Tensor};

use super::fusion::FusedLayer;
use crate::net::Net;

/// Weight and bias.
pub(crate) fn weights(net: &Net, fused: &FusedLayer) -> Result<(Tensor, Option<Tensor>), TchError> {
    let own = net.own(fused.layer);
    let kind = own[0].kind();
    // In float64, so that multiplying in adds no rounding of its own.
    let double = |t: &Tensor| t.f_to_kind(Kind::Double);
    let (mut weight, mut bias) = (double(&own[0])?, own.get(1).map(double).transpose()?);
    if let Some((start, len)) = fused.channels {
        let slice = |t: &Tensor| t.f_narrow(0, i64::from(start), i64::from(len));
        (weight, bias) = (slice(&weight)?, bias.as_ref().map(slice).transpose()?);
    }
    if let Some(norm) = fused.input_norm {
        let norm = net.own(norm);
        let scale = double(&norm[0])?;
        if let Some(shift) = norm.get(1) {
            let shifted = weight.f_mul(&double(shift)?.f_view([1, -1, 1, 1])?)?.f_flatten(1, -1)?;
            let shifted = shifted.f_sum_dim_intlist([1i64].as_slice(), false, None)?;
            bias = Some(match bias {
                Some(b) => b.f_add(&shifted)?,
                None => shifted,
            });
        }
        weight = weight.f_mul(&scale.f_view([1, -1, 1, 1])?)?;
    }
    for node in &fused.output_scales {
        let scale = double(&net.own(*node)[0])?;
        let mut shape = vec![1; weight.dim()];
        shape[0] = -1;
        weight = weight.f_mul(&scale.f_view(shape.as_slice())?)?;
        bias = bias.map(|b| b.f_mul(&scale)).transpose()?;
    }
    let back = |t: Tensor| t.f_to_kind(kind)?.f_contiguous();
    Ok((back(weight)?, bias.map(back).transpose()?))
}
