//! What a detector in two stages is trained for.

use mobilenas_dense::BBox;
use mobilenas_dense::rcnn::{RegionTarget, cut_mask};
use mobilenas_space::ir::Fnv;
use mobilenas_space::seed::{Purpose, rng};
use mobilenas_torch::Region;
use rand::rngs::ChaCha8Rng;
use rayon::prelude::*;
use tch::{Reduction, TchError, Tensor};

use super::detected::{NAME, torch};
use super::read::{Read, numbers};
use crate::TaskError;
use crate::batch::DenseTargets;

/// A batch's outputs beside its targets.
pub(super) struct Losses<'a> {
    pub read: &'a Read<'a>,
    pub targets: &'a DenseTargets,
}

/// A region that is trained on, in its image.
struct Trained {
    region: Region,
    target: RegionTarget,
    /// The place of its class; that of the background is the last.
    class: usize,
}

/// Rows of a tensor by their places.
fn rows(t: &Tensor, places: &[i64]) -> Result<Tensor, TchError> {
    t.f_index_select(0, &Tensor::f_from_slice(places)?.f_to_device(t.device())?)
}

/// Numbers beside a tensor: of its kind, where it is.
fn like(t: &Tensor, values: &[f64]) -> Result<Tensor, TchError> {
    Tensor::f_from_slice(values)?.f_to_device(t.device())?.f_to_kind(t.kind())
}

/// The sum of absolute differences over so many.
fn l1(found: &Tensor, wanted: &[f64], over: f64) -> Result<Tensor, TchError> {
    let wanted = like(found, wanted)?.f_view_as(found)?;
    found.f_l1_loss(&wanted, Reduction::Sum)?.f_mul_scalar(1.0 / over)
}

impl Losses<'_> {
    /// Of anchors: objects or not, and boxes. Of regions: classes, boxes and masks.
    pub(super) fn all(&self, smoothing: f64) -> Result<[Tensor; 5], TaskError> {
        let mut rngs = self.generators()?;
        let [objects, boxes] = self.of_anchors(&mut rngs)?;
        let trained = self.regions(&mut rngs)?;
        let [classes, sides] = self.of_regions(&trained, smoothing)?;
        Ok([objects, boxes, classes, sides, self.of_masks(&trained)?])
    }

    /// What is sampled of an image follows from the image and the network's outputs, so that networks may learn side by
    /// side, and a training that goes on draws as if it had never stopped.
    fn generators(&self) -> Result<Vec<ChaCha8Rng>, TaskError> {
        let n = self.read.anchors.len().max(1);
        let logits = numbers(self.read.logits)?;
        let generator = |(label, logits): (&std::sync::Arc<mobilenas_dense::DenseLabel>, &[f64])| {
            let mut hash = Fnv::default();
            logits.iter().step_by(1 + n / 64).for_each(|v| hash.write(&v.to_bits().to_le_bytes()));
            rng(hash.finish(), Purpose::Regions, label.entry.id, 0)
        };
        Ok(self.targets.labels.iter().zip(logits.chunks(n)).map(generator).collect())
    }

    fn of_anchors(&self, rngs: &mut [ChaCha8Rng]) -> Result<[Tensor; 2], TaskError> {
        let (read, n) = (self.read, self.read.anchors.len() as i64);
        // Tensors are not shared among threads.
        let (rules, anchors) = (read.rules, &read.anchors);
        let labels = self.targets.labels.par_iter().zip(rngs).enumerate();
        let sampled: Vec<_> = labels
            .map(|(image, (label, rng))| (image as i64 * n, rules.anchor_targets(&label.target.boxes, anchors, rng)))
            .collect();
        let (mut places, mut objects) = (Vec::new(), Vec::new());
        let (mut with, mut offsets, mut count) = (Vec::new(), Vec::new(), 0);
        for (begin, targets) in &sampled {
            for (i, coded) in &targets.positive {
                with.push(begin + *i as i64);
                offsets.extend(coded);
            }
            places.extend(targets.positive.iter().map(|(i, _)| begin + *i as i64));
            objects.extend(targets.positive.iter().map(|_| 1.0));
            places.extend(targets.negative.iter().map(|i| begin + *i as i64));
            objects.extend(targets.negative.iter().map(|_| 0.0));
            // As the reference counts.
            count += targets.positive.len().max(1) + targets.negative.len().max(1);
        }
        let losses = || {
            let found = rows(&read.logits.f_reshape([-1])?, &places)?;
            let objects = found.f_binary_cross_entropy_with_logits(
                &like(&found, &objects)?,
                None::<&Tensor>,
                None::<&Tensor>,
                Reduction::Sum,
            )?;
            let boxes = rows(&read.offsets.f_reshape([-1, 4])?, &with)?;
            Ok([objects.f_mul_scalar(1.0 / count as f64)?, l1(&boxes, &offsets, count as f64)?])
        };
        losses().map_err(torch)
    }

    /// The regions that are trained on, of all images.
    fn regions(&self, rngs: &mut [ChaCha8Rng]) -> Result<Vec<Trained>, TaskError> {
        let read = self.read;
        let proposals = read.proposals(&read.rules.training)?;
        let (rules, background) = (read.rules, read.objects);
        let images = self.targets.labels.par_iter().zip(proposals).zip(rngs).enumerate();
        let of_images: Vec<Vec<Trained>> = images
            .map(|(image, ((label, proposals), rng))| {
                let boxes = &label.target.boxes;
                let trained = rules.region_targets(boxes, &proposals, rng).into_iter().map(|target| {
                    let class = target.object.map_or(background, |(k, _)| boxes[k].class as usize);
                    Trained { region: Region { image, corners: target.bbox.xyxy() }, target, class }
                });
                trained.collect()
            })
            .collect();
        let mut all: Vec<Trained> = of_images.into_iter().flatten().collect();
        if all.is_empty() {
            // No proposal and no object: the whole image is background.
            let bbox = BBox::new(0.0, 0.0, read.size.0, read.size.1);
            let region = Region { image: 0, corners: bbox.xyxy() };
            all.push(Trained { region, target: RegionTarget { bbox, object: None }, class: read.objects });
        }
        Ok(all)
    }

    /// Cross-entropy of classes and L1 of boxes, both over all regions.
    fn of_regions(&self, trained: &[Trained], smoothing: f64) -> Result<[Tensor; 2], TaskError> {
        let regions: Vec<Region> = trained.iter().map(|t| t.region).collect();
        let [scores, boxes] = self.read.classified(&regions)?;
        let classes: Vec<i64> = trained.iter().map(|t| t.class as i64).collect();
        let with =
            trained.iter().enumerate().filter_map(|(i, t)| t.target.object.map(|(_, coded)| (i, t.class, coded)));
        let (mut places, mut offsets) = (Vec::new(), Vec::new());
        for (i, class, coded) in with {
            places.push((i * self.read.objects + class) as i64);
            offsets.extend(coded);
        }
        let losses = || {
            let wanted = Tensor::f_from_slice(&classes)?.f_to_device(scores.device())?;
            let classes = scores.f_cross_entropy_loss(&wanted, None::<&Tensor>, Reduction::Mean, -100, smoothing)?;
            let found = rows(&boxes.f_reshape([-1, 4])?, &places)?;
            Ok([classes, l1(&found, &offsets, trained.len().max(1) as f64)?])
        };
        losses().map_err(torch)
    }

    /// Cross-entropy of each pixel of the masks of regions with an object.
    fn of_masks(&self, trained: &[Trained]) -> Result<Tensor, TaskError> {
        let mut with: Vec<&Trained> = trained.iter().filter(|t| t.target.object.is_some()).collect();
        let none = with.is_empty();
        // So that every layer has a gradient, of 0.
        with.extend(trained.first().filter(|_| none));
        let regions: Vec<Region> = with.iter().map(|t| t.region).collect();
        let classes: Vec<usize> = with.iter().map(|t| if none { 0 } else { t.class }).collect();
        let found = self.read.masks(&regions, &classes)?;
        if none {
            return found.f_sum(None).and_then(|t| t.f_mul_scalar(0.0)).map_err(torch);
        }
        let side = found.size().last().copied().unwrap_or_default() as usize;
        let labels = &self.targets.labels;
        let cut = |t: &&Trained| -> Result<Vec<f64>, TaskError> {
            let masks = &labels[t.region.image].target.masks;
            let mask = t.target.object.and_then(|(k, _)| masks.get(k));
            let mask = mask.ok_or(TaskError::Target { task: NAME, expected: "mask of each box" })?;
            Ok(cut_mask(mask, &t.target.bbox, side))
        };
        let wanted = with.par_iter().map(cut).collect::<Result<Vec<_>, TaskError>>()?.concat();
        let loss = || {
            let wanted = like(&found, &wanted)?.f_view_as(&found)?;
            found.f_binary_cross_entropy_with_logits(&wanted, None::<&Tensor>, None::<&Tensor>, Reduction::Mean)
        };
        loss().map_err(torch)
    }
}
