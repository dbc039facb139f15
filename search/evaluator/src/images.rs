//! A list of images that networks are recalibrated and scored on.

use std::collections::HashMap;

use mobilenas_data::{DataError, TransformedDataset};
use mobilenas_task::{Batch, Meter, Outputs, Targets, Task};
use mobilenas_torch::{FixedKernels, Mode, Net, TunedNet};
use mobilenas_train::resized;
use tch::{Device, Tensor};

use super::EvalError;
use super::eval_pool::EvalPool;

/// Bytes of images that are kept as tensors; more are read again each time they are needed.
const KEPT: usize = 1 << 30;

/// Images in a batch of recalibration.
pub(super) const CALIBRATION_BATCH: usize = 256;

pub(super) fn whole(indices: &[usize], size: usize) -> &[usize] {
    let n = if indices.len() > size { indices.len() / size * size } else { indices.len() };
    &indices[..n]
}

/// The images of recalibration, in batches of one size, so that each weighs the same in the statistics.
pub(super) fn calibrating(
    images: &TransformedDataset,
    indices: &[usize],
    device: Device,
) -> Result<EvalImages, EvalError> {
    EvalImages::new(images, whole(indices, CALIBRATION_BATCH), CALIBRATION_BATCH, device)
}

/// A list of images on a device: kept as tensors, once for each resolution, or read again each time.
pub(super) struct EvalImages {
    pub(super) images: TransformedDataset,
    pub(super) indices: Vec<usize>,
    pub(super) batch: usize,
    device: Device,
    kept: bool,
    native: Vec<Batch>,
    resized: HashMap<u32, Vec<Tensor>>,
}

/// The metrics of a task on a list of images.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// In the order of the task's metrics.
    pub values: Vec<f64>,
    /// Images that were scored: damaged ones are left out.
    pub images: u64,
}

impl EvalImages {
    pub(super) fn new(
        images: &TransformedDataset,
        indices: &[usize],
        batch: usize,
        device: Device,
    ) -> Result<EvalImages, EvalError> {
        let (c, h, w) = images.shape(None);
        // Those of one resolution beside the native ones; others are rare, and smaller.
        let kept = 2 * 4 * c * h * w * indices.len() <= KEPT;
        let native = match kept {
            true => images.batches(indices, batch).map(|b| tensors(b, device)).collect::<Result<_, _>>()?,
            false => Vec::new(),
        };
        let (images, indices) = (images.clone(), indices.to_vec());
        Ok(EvalImages { images, indices, batch, device, kept, native, resized: HashMap::new() })
    }

    /// The first images, at a side, and their targets.
    pub(super) fn first(&self, side: u32, n: usize) -> Result<(Tensor, Targets), EvalError> {
        let few = &self.indices[..self.indices.len().min(n)];
        let batch = self.images.batches(few, n).next().ok_or(EvalError::NoImages("compute proxies"))?;
        let Batch { images, targets } = tensors(batch, Device::Cpu)?;
        Ok((resized(&images, side)?, targets))
    }

    /// Gives each batch's images, at a side, and its targets to a reader.
    pub(super) fn each(
        &mut self,
        side: u32,
        mut read: impl FnMut(&Tensor, &Targets) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        if !self.kept {
            for batch in self.images.batches(&self.indices, self.batch) {
                let batch = tensors(batch, self.device)?;
                read(&resized(&batch.images, side)?, &batch.targets)?;
            }
            return Ok(());
        }
        if !self.resized.contains_key(&side) {
            let images = self.native.iter().map(|b| resized(&b.images, side)).collect::<Result<_, _>>()?;
            self.resized.insert(side, images);
        }
        let images = self.resized.get(&side).map_or(&[][..], Vec::as_slice);
        images.iter().zip(&self.native).try_for_each(|(x, b)| read(x, &b.targets))
    }

    /// Images and targets of each batch at a side, shared out among so many threads; `None` where they are not kept as
    /// tensors on the processor.
    fn shares(&mut self, side: u32, among: usize) -> Result<Option<Vec<Share>>, EvalError> {
        if !self.kept || self.device != Device::Cpu {
            return Ok(None);
        }
        let (mut all, mut n) = ((0..among).map(|_| Share::new()).collect::<Vec<_>>(), 0);
        self.each(side, |images, targets| {
            all[n % among].push((images.shallow_clone(), targets.shallow_clone()));
            n += 1;
            Ok(())
        })?;
        all.retain(|share| !share.is_empty());
        Ok(Some(all))
    }

    /// Estimates a network's batch-norm statistics afresh.
    pub(super) fn recalibrate(&mut self, net: &Net, pool: &EvalPool) -> Result<(), EvalError> {
        let side = net.graph().input().dims[1];
        let shares = if pool.threads() > 1 { self.shares(side, pool.threads())? } else { None };
        let Some(shares) = shares else {
            let mut images = Vec::new();
            self.each(side, |x, _| {
                images.push(x.shallow_clone());
                Ok(())
            })?;
            return Ok(net.recalibrate(images.iter())?);
        };
        let own = shares.into_iter().map(|share| Ok((net.replica()?, share)));
        let parts = pool.each(own.collect::<Result<_, EvalError>>()?, |(replica, share)| {
            replica.recalibrate(share.iter().map(|(x, _)| x))?;
            Ok((share.len() as u32, replica))
        })?;
        Ok(net.average_statistics(&parts)?)
    }

    /// The task's metrics of the network as it is deployed.
    pub(super) fn scores(&mut self, net: &Net, pool: &EvalPool, task: &dyn Task) -> Result<Scores, EvalError> {
        let side = net.graph().input().dims[1];
        let mut meter = task.meter();
        if let Some(shares) = self.shares(side, pool.threads())? {
            let frozen = net.freeze()?;
            let own = shares.into_iter().map(|share| (frozen.replica(), share)).map(|(net, share)| Ok((net?, share)));
            let parts =
                pool.each(own.collect::<Result<_, EvalError>>()?, |(net, share)| deployed(&net, share, task))?;
            parts.iter().for_each(|part| meter.merge(part.as_ref()));
        } else {
            let _guard = tch::no_grad_guard();
            self.each(side, |images, targets| Ok(meter.update(&Outputs::run(net, images, Mode::Eval)?, targets)?))?;
        }
        Ok(Scores { values: meter.values(), images: meter.samples() })
    }
}

/// A frozen network on its share of the batches, by the tuned engine with fixed kernels.
fn deployed(net: &Net, share: Share, task: &dyn Task) -> Result<Box<dyn Meter>, EvalError> {
    let (mut meter, mut tuned) = (task.meter(), None::<(Vec<i64>, TunedNet)>);
    for (images, targets) in share {
        let plain = tch::no_grad(|| net.until_regions(&images, Mode::Eval))?;
        if let Some(waiting) = plain {
            meter.update(&Outputs::waiting(net, waiting), &targets)?;
            continue;
        }
        let outputs = match &tuned {
            Some((size, tuned)) if *size == images.size() => tuned.outputs(&images)?,
            _ => {
                let (made, first) = TunedNet::on(net, &images, &mut FixedKernels)?;
                let outputs = match net.graph().outputs.len() {
                    1 => vec![first],
                    _ => made.outputs(&images)?,
                };
                tuned = Some((images.size(), made));
                outputs
            }
        };
        meter.update(&Outputs::of(net.graph(), outputs), &targets)?;
    }
    Ok(meter)
}

fn tensors(batch: Result<mobilenas_data::Batch, DataError>, device: Device) -> Result<Batch, EvalError> {
    Ok(Batch::new(&batch?)?.to(device)?)
}

/// Images and targets of some batches.
type Share = Vec<(Tensor, Targets)>;
