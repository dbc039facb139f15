//! What ranks add up: after a step of a training gradients, running statistics and numbers, all in one all-reduce; and the
//! statistics of a recalibration.

use mobilenas_space::ir::{ParamSpec, Role};
use mobilenas_task::Meter;
use mobilenas_torch::{Net, ParamStore};
use tch::{Kind, TchError, Tensor};

use crate::TrainError;
use crate::collective::{Collective, CollectiveError};

/// A step's numbers: this rank's, then those of all together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StepSums {
    /// The loss.
    pub loss: f64,
    /// Images.
    pub images: f64,
    /// The task's metrics.
    pub values: Vec<f64>,
    /// Whether a rank was asked to stop.
    pub stop: bool,
}

impl StepSums {
    pub(crate) fn new(loss: f64, images: usize, meter: &dyn Meter, stop: bool) -> StepSums {
        StepSums { loss, images: images as f64, values: meter.values(), stop }
    }

    /// Metrics count by the images that they are of.
    fn to_numbers(&self) -> Vec<f32> {
        let own = [self.loss, self.images, f64::from(u8::from(self.stop))];
        own.into_iter().chain(self.values.iter().map(|v| v * self.images)).map(|v| v as f32).collect()
    }

    fn of_numbers(numbers: &[f32]) -> StepSums {
        let at = |i: usize| numbers.get(i).copied().map_or(0.0, f64::from);
        let images = at(1);
        let values = numbers.iter().skip(3).map(|v| f64::from(*v) / images.max(1.0)).collect();
        StepSums { loss: at(0), images, values, stop: at(2) > 0.0 }
    }
}

/// Adds up what the ranks have: the gradients, which it gives back laid out as the store's flat tensor, zero where no rank has
/// one; and the numbers. Running statistics become their mean.
pub(crate) fn reduce(
    collective: &dyn Collective,
    store: &ParamStore,
    own: StepSums,
) -> Result<(Tensor, StepSums), TrainError> {
    let (grad, _guard) = (store.flat_grad()?, tch::no_grad_guard());
    let statistics: Vec<&Tensor> = store.statistics().map(|(_, t)| t).collect();
    let numbers = own.to_numbers();
    let all = || -> Result<Tensor, TchError> {
        let device = grad.device();
        let part = |t: &&Tensor| t.f_reshape([-1])?.f_mul_scalar(1.0 / collective.ranks() as f64);
        let mut parts = vec![grad.f_reshape([-1])?];
        parts.extend(statistics.iter().map(part).collect::<Result<Vec<_>, _>>()?);
        parts.push(Tensor::f_from_slice(&numbers)?.f_to_device(device)?);
        Tensor::f_cat(&parts, 0)
    };
    let sum = all().map_err(TrainError::torch)?;
    collective.all_reduce(&sum)?;
    let mut at = 0;
    let mut next = |n: i64| {
        let part = sum.f_narrow(0, at, n);
        at += n;
        part
    };
    let mut taken = || -> Result<(Tensor, Vec<f32>), TchError> {
        let grad = next(grad.numel() as i64)?;
        for t in &statistics {
            let mean = next(t.numel() as i64)?.f_view(t.size().as_slice())?;
            t.shallow_clone().f_copy_(&mean)?;
        }
        let numbers = next(numbers.len() as i64)?.f_to_kind(Kind::Float)?;
        Ok((grad, Vec::<f32>::try_from(&numbers)?))
    };
    let (grad, numbers) = taken().map_err(TrainError::torch)?;
    Ok((grad, StepSums::of_numbers(&numbers)))
}

/// Makes a store's tensors those of rank 0.
///
/// # Errors
/// When a rank is gone.
pub fn broadcast_store(collective: &dyn Collective, store: &ParamStore) -> Result<(), CollectiveError> {
    collective.broadcast(store.flat())?;
    store.statistics().try_for_each(|(_, statistic)| collective.broadcast(statistic))
}

/// Makes a network's running statistics their mean over the batches of all ranks. This rank's are those of `batches` batches;
/// of none, and then they count for nothing.
///
/// # Errors
/// When a rank is gone.
pub fn average_statistics(collective: &dyn Collective, net: &Net, batches: usize) -> Result<(), TrainError> {
    if collective.alone() {
        return Ok(());
    }
    let _guard = tch::no_grad_guard();
    let of_norms = |(p, _): &(ParamSpec, Tensor)| p.role == Role::Statistic && !p.axes.is_empty();
    let own: Vec<Tensor> = net.tensors().into_iter().flatten().filter(of_norms).map(|(_, t)| t).collect();
    let weighted = |t: &Tensor| match batches {
        0 => t.f_zeros_like()?.f_reshape([-1]),
        n => t.f_reshape([-1])?.f_mul_scalar(n as f64),
    };
    let all = || -> Result<Tensor, TchError> {
        let parts = own.iter().map(weighted).collect::<Result<Vec<_>, _>>()?;
        let count = Tensor::f_from_slice(&[batches as f32])?.f_to_device(net.device())?;
        Tensor::f_cat(&parts.into_iter().chain([count]).collect::<Vec<_>>(), 0)
    };
    let sum = all().map_err(TrainError::torch)?;
    collective.all_reduce(&sum)?;
    let take = || -> Result<(), TchError> {
        let count = f64::try_from(sum.f_narrow(0, sum.numel() as i64 - 1, 1)?)?;
        let mut at = 0;
        for t in &own {
            let n = t.numel() as i64;
            let mean = sum.f_narrow(0, at, n)?.f_div_scalar(count)?.f_view(t.size().as_slice())?;
            t.shallow_clone().f_copy_(&mean)?;
            at += n;
        }
        Ok(())
    };
    take().map_err(TrainError::torch)
}
