//! Detection in two stages, with masks: proposals, and the class, the box and the mask of each region.

mod loss;
mod meter;
mod read;

use mobilenas_data::Labels;
use mobilenas_dense::BBox;
use mobilenas_dense::class_map::color;
use mobilenas_dense::draw::{draw_box, draw_mask};
use mobilenas_dense::mask::Rle;
use mobilenas_dense::rcnn::{Instance, RcnnRules};
use mobilenas_image::Picture;
use mobilenas_record::metric::SHOWN;
use mobilenas_record::{Goal, MetricInfo, Stage};
use tch::{TchError, Tensor};

use crate::batch::DenseTargets;
use crate::detection::{ANCHOR_ACCURACY, MAP, MAP50};
use crate::distill::Distillation;
use crate::{Meter, Outputs, Targets, Task, TaskError};
use loss::Losses;
use read::Read;

pub use meter::InstancePrecision;

/// COCO's average precision of masks, mean over IoUs from 0.5 to 0.95.
pub const MASK_MAP: MetricInfo =
    MetricInfo { name: "mask_map", goal: Goal::Maximize, unit: "%", stage: Stage::Trained, label: "Mask mAP" };

const NAME: &str = "detection";

fn torch(e: TchError) -> TaskError {
    TaskError::torch(NAME)(e)
}

/// Detection in two stages, with masks. Outputs are `rpn_scores` `[B, N, 1]` and `rpn_boxes` `[B, N, 4]` of N anchors, and of
/// each region `scores` `[classes]` with the background last, `boxes` `[4 (classes - 1)]` and `masks`.
#[derive(Clone, Copy, Debug)]
pub struct Instances {
    /// Anchors, proposals, matching, and what is detected.
    pub rules: RcnnRules,
}

/// What was found in an image.
#[derive(Clone, Debug)]
pub struct Detected {
    /// Boxes, classes and scores, the best first.
    pub instances: Vec<Instance>,
    /// Columns and rows of the image that the network reads.
    pub size: (f64, f64),
    /// For each instance, the probabilities of its mask, row by row.
    masks: Vec<Vec<f64>>,
    side: usize,
    threshold: f64,
}

impl Detected {
    /// The mask of an instance in an image of (width, height).
    pub fn mask(&self, i: usize, (width, height): (usize, usize)) -> Rle {
        let (x, y) = (width as f64 / self.size.0, height as f64 / self.size.1);
        let bbox = self.instances[i].bbox.scaled(x, y);
        mobilenas_dense::rcnn::pasted(&self.masks[i], self.side, &bbox, (width, height), self.threshold)
    }
}

fn dense(targets: &Targets) -> Result<&DenseTargets, TaskError> {
    match targets {
        Targets::Dense(all) => Ok(all),
        Targets::Classes { .. } => Err(TaskError::Target { task: NAME, expected: "list of boxes" }),
    }
}

impl Instances {
    /// What is found in each image of a batch.
    ///
    /// # Errors
    /// When libtorch refuses, or the outputs are not such a detector's.
    pub fn detect(&self, outputs: &Outputs) -> Result<Vec<Detected>, TaskError> {
        let _guard = tch::no_grad_guard();
        Read::of(self.rules, outputs)?.detect()
    }

    /// The parts of the loss: whether anchors have an object, their boxes, the classes of regions, their boxes, their masks.
    ///
    /// # Errors
    /// As for [`Task::loss`].
    pub fn losses(&self, outputs: &Outputs, targets: &Targets, smoothing: f64) -> Result<[Tensor; 5], TaskError> {
        let read = Read::of(self.rules, outputs)?;
        Losses { read: &read, targets: dense(targets)? }.all(smoothing)
    }
}

impl Task for Instances {
    fn name(&self) -> &'static str {
        NAME
    }

    fn labels(&self) -> Labels {
        Labels::Masks
    }

    fn metrics(&self) -> &'static [MetricInfo] {
        &[MAP, MAP50, MASK_MAP]
    }

    fn training_metrics(&self) -> &'static [MetricInfo] {
        &[ANCHOR_ACCURACY]
    }

    fn loss(&self, outputs: &Outputs, targets: &Targets, label_smoothing: f64) -> Result<Tensor, TaskError> {
        let [first, rest @ ..] = self.losses(outputs, targets, label_smoothing)?;
        rest.iter().try_fold(first, |sum, part| sum.f_add(part)).map_err(torch)
    }

    fn example(&self, images: usize, size: (usize, usize)) -> Result<Targets, TaskError> {
        Ok(Targets::Dense(DenseTargets::example(images, size).map_err(torch)?.with_masks()?))
    }

    fn distill(&self, _: &Outputs, _: &Outputs, _: Distillation) -> Result<Tensor, TaskError> {
        Err(TaskError::Outputs {
            task: NAME,
            found: "a teacher of a detector in two stages".to_string(),
            expected: "labels: each network has proposals of its own",
        })
    }

    fn draw(&self, outputs: &Outputs, pictures: &mut [Picture]) -> Result<(), TaskError> {
        for (picture, found) in pictures.iter_mut().zip(self.detect(outputs)?) {
            let (width, height) = (picture.width, picture.height);
            for (i, one) in found.instances.iter().enumerate().filter(|(_, one)| one.score >= SHOWN) {
                let color = color((one.class % 254) as u8 + 1);
                draw_mask(picture, &found.mask(i, (width, height)), color);
                let bbox = one.in_image(found.size, width as u32, height as u32).region;
                draw_box(picture, &BBox::from_xywh(bbox), color);
            }
        }
        Ok(())
    }

    fn meter(&self) -> Box<dyn Meter> {
        Box::new(InstancePrecision::new(*self))
    }

    fn training_meter(&self) -> Box<dyn Meter> {
        Box::new(meter::FoundAnchors::new(*self))
    }
}
