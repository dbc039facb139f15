//! A batch's outputs, and what is detected by them.

use mobilenas_dense::BBox;
use mobilenas_dense::rcnn::{Proposing, RcnnRules};
use mobilenas_heads::level_sizes;
use mobilenas_torch::{Region, Waiting};
use tch::{Device, Kind, TchError, Tensor};

use super::detected::{Detected, NAME, torch};
use crate::{Outputs, TaskError};

/// The stages of regions, in the order of the graph.
const BOXES: usize = 0;
const MASKS: usize = 1;

/// A batch's outputs before regions, with the anchors that they belong to.
pub(super) struct Read<'a> {
    pub rules: RcnnRules,
    /// `[B, N, 1]`.
    pub logits: &'a Tensor,
    /// `[B, N, 4]`.
    pub offsets: &'a Tensor,
    pub anchors: Vec<BBox>,
    pub per_level: Vec<usize>,
    /// Columns and rows of the images.
    pub size: (f64, f64),
    /// Classes of objects.
    pub objects: usize,
    regions: &'a Waiting,
}

/// The numbers of a tensor.
pub(super) fn numbers(t: &Tensor) -> Result<Vec<f64>, TaskError> {
    let flat = || {
        let t = t.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?.f_contiguous()?;
        Vec::<f64>::try_from(t.f_view([-1])?)
    };
    flat().map_err(torch)
}

/// Losses and probabilities are not computed in half precision.
fn widened(t: &Tensor) -> Result<Tensor, TchError> {
    if t.kind() == Kind::Double { Ok(t.shallow_clone()) } else { t.f_to_kind(Kind::Float) }
}

impl<'a> Read<'a> {
    pub(super) fn of(rules: RcnnRules, outputs: &'a Outputs) -> Result<Read<'a>, TaskError> {
        let wrong = |found: String| TaskError::Outputs {
            task: NAME,
            found,
            expected: "proposals of a network with a head that reads regions",
        };
        let (Some(graph), Some(regions), [logits, offsets]) =
            (&outputs.graph, &outputs.regions, outputs.heads.as_slice())
        else {
            return Err(wrong(format!("{} outputs", outputs.heads.len())));
        };
        let levels: Vec<(usize, usize)> =
            level_sizes(graph).into_iter().map(|(h, w)| (h as usize, w as usize)).collect();
        let anchors = rules.anchors(&levels)?;
        if logits.size().get(1) != Some(&(anchors.len() as i64)) {
            return Err(wrong(format!("scores {:?} for {} anchors", logits.size(), anchors.len())));
        }
        let classes = graph.outputs.iter().find(|o| o.name == "scores").map(|o| graph.nodes[o.node].value.channels());
        let objects = classes.ok_or_else(|| wrong("no scores of regions".to_string()))?.saturating_sub(1) as usize;
        let size = graph.input().hw().map_or((0.0, 0.0), |(h, w)| (f64::from(w), f64::from(h)));
        let per_level = rules.per_level(&levels);
        Ok(Read { rules, logits, offsets, anchors, per_level, size, objects, regions })
    }

    /// The proposals of each image.
    pub(super) fn proposals(&self, how: &Proposing) -> Result<Vec<Vec<BBox>>, TaskError> {
        let (logits, offsets) = (numbers(self.logits)?, numbers(self.offsets)?);
        let n = self.anchors.len().max(1);
        let images = logits.chunks(n).zip(offsets.chunks(4 * n));
        let anchors = (self.anchors.as_slice(), self.per_level.as_slice());
        Ok(images.map(|of| self.rules.proposals(how, anchors, of, self.size)).collect())
    }

    /// Scores `[R, classes]` and boxes `[R, classes - 1, 4]` of regions.
    pub(super) fn classified(&self, regions: &[Region]) -> Result<[Tensor; 2], TaskError> {
        let outputs = self.regions.outputs_of(BOXES, regions)?;
        let [scores, boxes] = outputs.as_slice() else { return Err(self.lacks("scores and boxes", outputs.len())) };
        let read = || {
            let boxes = widened(boxes)?.f_reshape([-1, self.objects as i64, 4])?;
            Ok([widened(scores)?, boxes])
        };
        read().map_err(torch)
    }

    /// The logits of the masks of regions `[R, side, side]`, each of the class that is named.
    pub(super) fn masks(&self, regions: &[Region], classes: &[usize]) -> Result<Tensor, TaskError> {
        let outputs = self.regions.outputs_of(MASKS, regions)?;
        let [masks] = outputs.as_slice() else { return Err(self.lacks("masks", outputs.len())) };
        let read = || {
            let rows = classes.iter().enumerate().map(|(r, class)| (r * self.objects + class) as i64);
            let rows = Tensor::f_from_slice(&rows.collect::<Vec<_>>())?.f_to_device(masks.device())?;
            widened(masks)?.f_flatten(0, 1)?.f_index_select(0, &rows)
        };
        read().map_err(torch)
    }

    fn lacks(&self, expected: &'static str, found: usize) -> TaskError {
        TaskError::Outputs { task: NAME, found: format!("{found} outputs of regions"), expected }
    }

    pub(super) fn detect(&self) -> Result<Vec<Detected>, TaskError> {
        let mut all = Vec::new();
        for (image, proposals) in self.proposals(&self.rules.proposing)?.into_iter().enumerate() {
            let at = |b: &BBox| Region { image, corners: b.xyxy() };
            let regions: Vec<Region> = proposals.iter().map(at).collect();
            let [scores, boxes] = self.classified(&regions)?;
            let scores = numbers(&scores.f_softmax(-1, Kind::Double).map_err(torch)?)?;
            let boxes = numbers(&boxes)?;
            let instances = self.rules.detect(&proposals, (&scores, &boxes), self.objects + 1, self.size);
            let regions: Vec<Region> = instances.iter().map(|i| at(&i.bbox)).collect();
            let masks = self.masks(&regions, &instances.iter().map(|i| i.class).collect::<Vec<_>>())?;
            let side = masks.size().last().copied().unwrap_or_default() as usize;
            let masks = numbers(&masks.f_sigmoid().map_err(torch)?)?;
            let masks = masks.chunks((side * side).max(1)).map(<[f64]>::to_vec).collect();
            all.push(Detected { instances, size: self.size, masks, side, threshold: self.rules.mask_threshold });
        }
        Ok(all)
    }
}
