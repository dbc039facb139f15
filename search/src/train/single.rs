//! Training one network from scratch.

use mobilenas_torch::{Mode, Net};
use tch::Tensor;

use super::batches::Batch;
use super::{TrainError, batch_loss, resized};

/// Adds the gradients of one batch; every classifier head learns the labels. Gives the mean of the heads' losses.
///
/// # Errors
/// When libtorch refuses.
pub fn step(net: &Net, batch: &Batch, label_smoothing: f64) -> Result<Tensor, TrainError> {
    let images = resized(&batch.images, net.graph().input().dims[1])?;
    let heads = net.heads(&images, Mode::TrainTracking)?;
    let share = 1.0 / heads.len().max(1) as f64;
    let mut sum: Option<Tensor> = None;
    for logits in &heads {
        let part = batch_loss(logits, batch, label_smoothing)?;
        let part = part.f_mul_scalar(share).map_err(TrainError::torch)?;
        sum = Some(match sum {
            Some(s) => s.f_add(&part).map_err(TrainError::torch)?,
            None => part,
        });
    }
    let loss = sum.ok_or_else(|| TrainError::Torch("a network without a head".into()))?;
    loss.f_backward().map_err(TrainError::torch)?;
    Ok(loss.detach())
}
