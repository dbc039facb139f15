//! A list of images, as networks are calibrated and scored on it.

use std::collections::HashMap;

use mobilenas_torch::{Fixed, Mode, Net, Tuned};
use tch::{Device, Kind, Tensor};

use super::crew::Crew;
use crate::train::batches::{Batch, View};
use crate::train::{TrainError, resized};

/// Bytes of images that are kept as tensors; more are read again each time they are needed.
const KEPT: usize = 1 << 30;

/// A list of images on a device: kept as tensors, once for each resolution, or read again each time.
pub(super) struct List {
    pub(super) view: View,
    pub(super) indices: Vec<usize>,
    pub(super) size: usize,
    device: Device,
    kept: bool,
    native: Vec<Batch>,
    resized: HashMap<u32, Vec<Tensor>>,
}

impl List {
    pub(super) fn new(view: &View, indices: &[usize], size: usize, device: Device) -> Result<List, TrainError> {
        let (c, h, w) = view.shape(None);
        // Those of one resolution beside the native ones; others are rare, and smaller.
        let kept = 2 * 4 * c * h * w * indices.len() <= KEPT;
        let moved = |batch: Result<Batch, TrainError>| batch?.to(device);
        let native = if kept { view.batches(indices, size).map(moved).collect::<Result<_, _>>()? } else { Vec::new() };
        let (view, indices) = (view.clone(), indices.to_vec());
        Ok(List { view, indices, size, device, kept, native, resized: HashMap::new() })
    }

    /// The first images, at a side, and their labels.
    pub(super) fn first(&self, side: u32, n: usize) -> Result<(Tensor, Tensor), TrainError> {
        let few = &self.indices[..self.indices.len().min(n)];
        let batch = self
            .view
            .batches(few, n)
            .next()
            .ok_or_else(|| TrainError::Torch("no images to recalibrate with".into()))??;
        Ok((resized(&batch.images, side)?, batch.labels))
    }

    /// Gives each batch's images, at a side, and its labels to a reader.
    pub(super) fn each(
        &mut self,
        side: u32,
        mut read: impl FnMut(&Tensor, &Tensor) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        if !self.kept {
            for batch in self.view.batches(&self.indices, self.size) {
                let batch = batch?.to(self.device)?;
                read(&resized(&batch.images, side)?, &batch.labels)?;
            }
            return Ok(());
        }
        if !self.resized.contains_key(&side) {
            let images = self.native.iter().map(|b| resized(&b.images, side)).collect::<Result<_, _>>()?;
            self.resized.insert(side, images);
        }
        let images = self.resized.get(&side).map_or(&[][..], Vec::as_slice);
        images.iter().zip(&self.native).try_for_each(|(x, b)| read(x, &b.labels))
    }

    /// Images and labels of each batch at a side, shared out among so many; `None` where they are not kept as tensors on
    /// the processor.
    fn shares(&mut self, side: u32, among: usize) -> Result<Option<Vec<Share>>, TrainError> {
        if !self.kept || self.device != Device::Cpu {
            return Ok(None);
        }
        let (mut all, mut n) = ((0..among).map(|_| Share::new()).collect::<Vec<_>>(), 0);
        self.each(side, |images, labels| {
            all[n % among].push((images.shallow_clone(), labels.shallow_clone()));
            n += 1;
            Ok(())
        })?;
        all.retain(|share| !share.is_empty());
        Ok(Some(all))
    }

    /// Estimates a network's batch-norm statistics afresh.
    pub(super) fn recalibrate(&mut self, net: &Net, crew: &Crew) -> Result<(), TrainError> {
        let side = net.graph().input().dims[1];
        let shares = if crew.threads() > 1 { self.shares(side, crew.threads())? } else { None };
        let Some(shares) = shares else {
            let mut images = Vec::new();
            self.each(side, |x, _| {
                images.push(x.shallow_clone());
                Ok(())
            })?;
            return Ok(net.recalibrate(images.iter())?);
        };
        let own = shares.into_iter().map(|share| Ok((net.twin()?, share)));
        let parts = crew.each(own.collect::<Result<_, TrainError>>()?, |(twin, share)| {
            twin.recalibrate(share.iter().map(|(x, _)| x))?;
            Ok((share.len() as u32, twin))
        })?;
        Ok(net.mean_of(&parts)?)
    }

    /// Share of images whose largest logit is their label's, in percent, of the network as it is deployed.
    pub(super) fn top1(&mut self, net: &Net, crew: &Crew) -> Result<f64, TrainError> {
        let side = net.graph().input().dims[1];
        let Some(shares) = self.shares(side, crew.threads())? else {
            let _guard = tch::no_grad_guard();
            let mut hits = Hits::default();
            self.each(side, |images, labels| hits.add(&net.forward(images, Mode::Eval)?, labels))?;
            return Ok(hits.percent());
        };
        let frozen = net.freeze()?;
        let own = shares.into_iter().map(|share| (frozen.twin(), share)).map(|(net, share)| Ok((net?, share)));
        let parts = crew.each(own.collect::<Result<_, TrainError>>()?, |(net, share)| {
            let (mut hits, mut tuned) = (Hits::default(), None::<(Vec<i64>, Tuned)>);
            for (images, labels) in share {
                let logits = match &tuned {
                    Some((size, tuned)) if *size == images.size() => tuned.forward(&images)?,
                    _ => {
                        let (made, logits) = Tuned::on(&net, &images, &mut Fixed)?;
                        tuned = Some((images.size(), made));
                        logits
                    }
                };
                hits.add(&logits, &labels)?;
            }
            Ok(hits)
        })?;
        let all = parts.iter().fold(Hits::default(), |a, b| Hits { right: a.right + b.right, all: a.all + b.all });
        Ok(all.percent())
    }
}

/// Images and labels of some batches.
type Share = Vec<(Tensor, Tensor)>;

/// How many images of how many were right.
#[derive(Clone, Copy, Debug, Default)]
struct Hits {
    right: i64,
    all: i64,
}

impl Hits {
    fn add(&mut self, logits: &Tensor, labels: &Tensor) -> Result<(), TrainError> {
        let hits = logits.f_argmax(-1, false).and_then(|p| p.f_eq_tensor(labels));
        let hits = hits.and_then(|h| h.f_sum(Kind::Int64)).map_err(TrainError::torch)?;
        self.right += i64::try_from(hits).map_err(TrainError::torch)?;
        self.all += labels.size()[0];
        Ok(())
    }

    fn percent(self) -> f64 {
        100.0 * self.right as f64 / self.all.max(1) as f64
    }
}
