//! Single-shot detection: offsets to anchors, and a class for each.

use std::any::Any;

use mobilenas_data::Labels;
use mobilenas_dense::BBox;
use mobilenas_dense::class_map::color;
use mobilenas_dense::draw::draw_box;
use mobilenas_dense::metrics::coco::{CocoEvaluator, CocoScores};
use mobilenas_dense::ssd::{Assigner, SsdRules, hard_negatives};
use mobilenas_heads::map_sizes;
use mobilenas_image::Picture;
use mobilenas_record::metric::SHOWN;
use mobilenas_record::{Goal, MetricInfo, Stage};
use tch::{Device, Kind, Reduction, TchError, Tensor};

use crate::batch::DenseTargets;
use crate::distill::Distillation;
use crate::{Meter, Outputs, Targets, Task, TaskError};

/// COCO's average precision, mean over IoUs from 0.5 to 0.95.
pub const MAP: MetricInfo =
    MetricInfo { name: "map", goal: Goal::Maximize, unit: "%", stage: Stage::Trained, label: "mAP" };

/// [`MAP`] of the network's int8 file.
pub const MAP_INT8: MetricInfo = MetricInfo { name: "map_int8", stage: Stage::Quantized, label: "mAP int8", ..MAP };

/// COCO's average precision at an IoU of 0.5.
pub const MAP50: MetricInfo =
    MetricInfo { name: "map50", goal: Goal::Maximize, unit: "%", stage: Stage::Trained, label: "mAP@.5" };

/// Share of the anchors with a box whose likeliest class is the box's.
pub(crate) const ANCHOR_ACCURACY: MetricInfo = MetricInfo {
    name: "anchor_accuracy",
    goal: Goal::Maximize,
    unit: "%",
    stage: Stage::Trained,
    label: "Anchor accuracy",
};

const NAME: &str = "detection";

/// Background anchors in the loss for each one with a box.
const NEGATIVES: usize = 3;

/// Single-shot detection. Outputs are `boxes` `[B, N, 4]`, offsets to N anchors, and `scores` `[B, N, classes]`, logits with
/// the background first.
#[derive(Clone, Copy, Debug)]
pub struct Detection {
    /// Anchors, matching, coding, and what is detected.
    pub rules: SsdRules,
}

fn torch(e: TchError) -> TaskError {
    TaskError::torch(NAME)(e)
}

/// A batch's outputs with the anchors that they belong to.
struct Read<'a> {
    boxes: &'a Tensor,
    scores: &'a Tensor,
    assigner: Assigner,
}

/// What each anchor of a batch is trained to give.
struct Assigned {
    /// `[B, N]`, int64; 0 is the background.
    labels: Tensor,
    /// `[B, N, 4]`, of the outputs' kind.
    offsets: Tensor,
    /// Whether each anchor has a box, image by image.
    positive: Vec<Vec<bool>>,
}

impl Detection {
    fn read<'a>(&self, outputs: &'a Outputs) -> Result<Read<'a>, TaskError> {
        let wrong = |found: &str| TaskError::Outputs {
            task: NAME,
            found: found.to_string(),
            expected: "boxes and scores of a network with a detection head",
        };
        let (Some(graph), [boxes, scores]) = (&outputs.graph, outputs.heads.as_slice()) else {
            return Err(wrong(&format!("{} outputs", outputs.heads.len())));
        };
        let maps: Vec<(usize, usize)> = map_sizes(graph).into_iter().map(|(h, w)| (h as usize, w as usize)).collect();
        let assigner = self.rules.assigner(&maps)?;
        if boxes.size().get(1) != Some(&(assigner.anchors().len() as i64)) {
            return Err(wrong(&format!("boxes {:?} for {} anchors", boxes.size(), assigner.anchors().len())));
        }
        Ok(Read { boxes, scores, assigner })
    }

    fn targets(targets: &Targets) -> Result<&DenseTargets, TaskError> {
        match targets {
            Targets::Dense(all) => Ok(all),
            Targets::Classes { .. } => Err(TaskError::Target { task: NAME, expected: "list of boxes" }),
        }
    }
}

impl Read<'_> {
    fn assign(&self, targets: &DenseTargets) -> Result<Assigned, TaskError> {
        let all: Vec<_> =
            targets.labels.iter().map(|label| self.assigner.assign(&label.target.boxes, targets.size)).collect();
        let (b, n) = (all.len() as i64, self.assigner.anchors().len() as i64);
        let positive = all.iter().map(|a| a.labels.iter().map(|l| *l > 0).collect()).collect();
        let labels: Vec<i64> = all.iter().flat_map(|a| a.labels.iter().copied()).collect();
        let offsets: Vec<f64> = all.into_iter().flat_map(|a| a.offsets).collect();
        let (device, kind) = (self.scores.device(), self.boxes.kind());
        let tensors = || {
            let labels = Tensor::f_from_slice(&labels)?.f_view([b, n])?.f_to_device(device)?;
            let offsets = Tensor::f_from_slice(&offsets)?.f_view([b, n, 4])?.f_to_device(device)?.f_to_kind(kind)?;
            Ok((labels, offsets))
        };
        let (labels, offsets) = tensors().map_err(torch)?;
        Ok(Assigned { labels, offsets, positive })
    }

    /// The anchors whose classes count: those with a box, and the hardest of the background.
    fn counted(&self, log_p: &Tensor, assigned: &Assigned) -> Result<Tensor, TchError> {
        let hardness = log_p.f_detach()?.f_select(-1, 0)?.f_neg()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?;
        let hardness = Vec::<f32>::try_from(hardness.f_contiguous()?.f_view([-1])?)?;
        let n = self.assigner.anchors().len();
        let rows = assigned.positive.iter().zip(hardness.chunks(n.max(1)));
        let counted: Vec<f32> = rows
            .flat_map(|(positive, hardness)| {
                let hard = hard_negatives(positive, hardness, NEGATIVES);
                positive.iter().zip(hard).map(|(p, hard)| f32::from(u8::from(*p || hard))).collect::<Vec<f32>>()
            })
            .collect();
        let counted = Tensor::f_from_slice(&counted)?.f_view([-1, n as i64])?;
        counted.f_to_device(log_p.device())?.f_to_kind(log_p.kind())
    }

    /// Cross-entropy over the anchors that count, and smooth L1 over those with a box, both over the number of these.
    fn loss(&self, assigned: &Assigned, smoothing: f64) -> Result<[Tensor; 2], TchError> {
        let positives = assigned.positive.iter().flatten().filter(|p| **p).count().max(1) as f64;
        let log_p = self.scores.f_log_softmax(-1, None)?;
        let counted = self.counted(&log_p, assigned)?;
        let nll = log_p.f_gather(-1, &assigned.labels.f_unsqueeze(-1)?, false)?.f_squeeze_dim(-1)?.f_neg()?;
        let nll = match smoothing > 0.0 {
            true => {
                let even = log_p.f_mean_dim([-1i64].as_slice(), false, None)?.f_neg()?;
                nll.f_mul_scalar(1.0 - smoothing)?.f_add(&even.f_mul_scalar(smoothing)?)?
            }
            false => nll,
        };
        let classes = nll.f_mul(&counted)?.f_sum(None)?.f_mul_scalar(1.0 / positives)?;
        let off = self.boxes.f_smooth_l1_loss(&assigned.offsets, Reduction::None, 1.0)?;
        let off = off.f_sum_dim_intlist([-1i64].as_slice(), false, None)?;
        let boxes = off.f_mul(&assigned.labels.f_gt(0)?.f_to_kind(off.kind())?)?;
        Ok([boxes.f_sum(None)?.f_mul_scalar(1.0 / positives)?, classes])
    }
}

impl Task for Detection {
    fn name(&self) -> &'static str {
        NAME
    }

    fn labels(&self) -> Labels {
        Labels::Boxes
    }

    fn metrics(&self) -> &'static [MetricInfo] {
        &[MAP, MAP50]
    }

    fn training_metrics(&self) -> &'static [MetricInfo] {
        &[ANCHOR_ACCURACY]
    }

    fn loss(&self, outputs: &Outputs, targets: &Targets, label_smoothing: f64) -> Result<Tensor, TaskError> {
        let read = self.read(outputs)?;
        let [boxes, classes] = read.loss(&read.assign(Self::targets(targets)?)?, label_smoothing).map_err(torch)?;
        boxes.f_add(&classes).map_err(torch)
    }

    /// The classes of all anchors, and the offsets of those that the teacher takes for an object, as much as it does so.
    fn distill(&self, student: &Outputs, teacher: &Outputs, how: Distillation) -> Result<Tensor, TaskError> {
        let (student, teacher) = (self.read(student)?, self.read(teacher)?);
        if student.boxes.size() != teacher.boxes.size() {
            return Err(TaskError::Outputs {
                task: NAME,
                found: format!("boxes {:?} beside the teacher's {:?}", student.boxes.size(), teacher.boxes.size()),
                expected: "as many anchors",
            });
        }
        let loss = || {
            // The weight of an anchor is the teacher's probability of an object, and a little for the background.
            let object = teacher.scores.f_softmax(-1, None)?.f_select(-1, 0)?.f_neg()?.f_add_scalar(1.0)?;
            let sum = object.f_sum(None)?.f_clamp_min(1.0)?;
            // A row for each anchor.
            let classes = how.loss(&student.scores.f_flatten(0, 1)?, &teacher.scores.f_flatten(0, 1)?)?;
            let off = student.boxes.f_smooth_l1_loss(teacher.boxes, Reduction::None, 1.0)?;
            let off = off.f_sum_dim_intlist([-1i64].as_slice(), false, None)?.f_mul(&object)?;
            // The mean over all anchors counts as often as the labels' loss has anchors.
            let scale = object.numel() as f64;
            let classes = classes.f_mul_scalar(scale)?.f_div(&sum)?;
            off.f_sum(None)?.f_div(&sum)?.f_add(&classes)
        };
        loss().map_err(torch)
    }

    fn example(&self, images: usize, size: (usize, usize)) -> Result<Targets, TaskError> {
        DenseTargets::example(images, size).map(Targets::Dense).map_err(torch)
    }

    fn draw(&self, outputs: &Outputs, pictures: &mut [Picture]) -> Result<(), TaskError> {
        for (picture, found) in pictures.iter_mut().zip(self.detect(outputs)?) {
            for found in found.iter().filter(|d| d.score >= SHOWN) {
                let found = found.in_image(picture.width as u32, picture.height as u32);
                let color = color((found.category % 254) as u8 + 1);
                draw_box(picture, &BBox::from_xywh(found.region), color);
            }
        }
        Ok(())
    }

    fn meter(&self) -> Box<dyn Meter> {
        Box::new(AveragePrecision::new(*self))
    }

    fn training_meter(&self) -> Box<dyn Meter> {
        Box::new(AnchorAccuracy { task: *self, correct: 0, anchors: 0, samples: 0 })
    }
}

impl Detection {
    /// The detections of each image of a batch, the best first; boxes in parts of the image.
    ///
    /// # Errors
    /// When libtorch refuses, or the outputs are not a detector's.
    pub fn detect(&self, outputs: &Outputs) -> Result<Vec<Vec<mobilenas_dense::ssd::Detection>>, TaskError> {
        let read = self.read(outputs)?;
        let classes = read.scores.size().last().copied().unwrap_or_default() as usize;
        let flat = |t: &Tensor| -> Result<Vec<f64>, TchError> {
            let t = t.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?.f_contiguous()?;
            Vec::<f64>::try_from(t.f_view([-1])?)
        };
        let numbers = || {
            let scores = read.scores.f_to_kind(Kind::Double)?.f_softmax(-1, None)?;
            Ok((flat(read.boxes)?, flat(&scores)?))
        };
        let (boxes, scores) = tch::no_grad(numbers).map_err(torch)?;
        let (n, config) = (read.assigner.anchors().len().max(1), self.rules.detections());
        let images = boxes.chunks(4 * n).zip(scores.chunks(n * classes.max(1)));
        Ok(images
            .map(|(offsets, scores)| {
                let decoded: Vec<BBox> = read.assigner.decode(offsets);
                config.detect(scores, classes, &decoded)
            })
            .collect())
    }
}

/// COCO's average precision of what is detected.
#[derive(Debug)]
pub struct AveragePrecision {
    task: Detection,
    evaluator: CocoEvaluator<[f64; 4]>,
}

impl AveragePrecision {
    /// Of no images so far.
    pub fn new(task: Detection) -> AveragePrecision {
        AveragePrecision { task, evaluator: CocoEvaluator::default() }
    }

    /// What is counted.
    pub fn evaluator(&self) -> &CocoEvaluator<[f64; 4]> {
        &self.evaluator
    }

    /// Adds images that another evaluator has counted.
    pub fn add(&mut self, images: CocoEvaluator<[f64; 4]>) {
        self.evaluator.merge(images);
    }

    /// All of COCO's numbers.
    pub fn scores(&self) -> CocoScores {
        self.evaluator.scores()
    }
}

impl Meter for AveragePrecision {
    fn update(&mut self, outputs: &Outputs, targets: &Targets) -> Result<(), TaskError> {
        let targets = Detection::targets(targets)?;
        for (label, found) in targets.labels.iter().zip(self.task.detect(outputs)?) {
            let entry = &label.entry;
            let found = found.iter().map(|d| d.in_image(entry.width, entry.height)).collect();
            self.evaluator.add(entry.id, entry.truths(), found);
        }
        Ok(())
    }

    fn merge(&mut self, other: &dyn Meter) {
        if let Some(other) = other.as_any().downcast_ref::<AveragePrecision>() {
            self.add(other.evaluator.clone());
        }
    }

    fn samples(&self) -> u64 {
        self.evaluator.len() as u64
    }

    fn values(&self) -> Vec<f64> {
        let scores = self.scores();
        [scores.ap, scores.ap50].map(|v| 100.0 * v.unwrap_or(0.0)).to_vec()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Counts anchors whose class is right.
struct AnchorAccuracy {
    task: Detection,
    correct: u64,
    anchors: u64,
    samples: u64,
}

impl Meter for AnchorAccuracy {
    fn update(&mut self, outputs: &Outputs, targets: &Targets) -> Result<(), TaskError> {
        let (read, targets) = (self.task.read(outputs)?, Detection::targets(targets)?);
        let assigned = read.assign(targets)?;
        let correct = tch::no_grad(|| -> Result<i64, TchError> {
            let right = read.scores.f_argmax(-1, false)?.f_eq_tensor(&assigned.labels)?;
            i64::try_from(right.f_logical_and(&assigned.labels.f_gt(0)?)?.f_sum(Kind::Int64)?)
        });
        self.correct += correct.map_err(torch)? as u64;
        self.anchors += assigned.positive.iter().flatten().filter(|p| **p).count() as u64;
        self.samples += targets.labels.len() as u64;
        Ok(())
    }

    fn merge(&mut self, other: &dyn Meter) {
        if let Some(other) = other.as_any().downcast_ref::<AnchorAccuracy>() {
            self.correct += other.correct;
            self.anchors += other.anchors;
            self.samples += other.samples;
        }
    }

    fn samples(&self) -> u64 {
        self.samples
    }

    fn values(&self) -> Vec<f64> {
        vec![100.0 * self.correct as f64 / self.anchors.max(1) as f64]
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
