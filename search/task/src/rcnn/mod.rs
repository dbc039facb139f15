//! Detection in two stages, with masks: proposals, and the class, the box and the mask of each region.

mod detected;
mod instances;
mod loss;
mod meter;
mod read;

use mobilenas_data::Labels;
use mobilenas_dense::BBox;
use mobilenas_dense::class_map::color;
use mobilenas_dense::draw::{draw_box, draw_mask};
use mobilenas_image::Picture;
use mobilenas_record::metric::SHOWN;
use mobilenas_record::{Goal, MetricInfo, Stage};
use tch::Tensor;

use crate::batch::DenseTargets;
use crate::detection::{ANCHOR_ACCURACY, MAP, MAP50};
use crate::distill::Distillation;
use crate::{Meter, Outputs, Targets, Task, TaskError};
use detected::{NAME, torch};

pub use detected::Detected;
pub use instances::Instances;
pub use meter::InstancePrecision;

/// COCO's average precision of masks, mean over IoUs from 0.5 to 0.95.
pub const MASK_MAP: MetricInfo =
    MetricInfo { name: "mask_map", goal: Goal::Maximize, unit: "%", stage: Stage::Trained, label: "Mask mAP" };

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
