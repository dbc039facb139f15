//! Semantic segmentation: a class for each pixel.

use std::any::Any;

use mobilenas_data::Labels;
use mobilenas_dense::draw::draw_map;
use mobilenas_dense::metrics::ConfusionMatrix;
use mobilenas_dense::{ClassMap, IGNORED};
use mobilenas_image::Picture;
use mobilenas_record::{Goal, MetricInfo, Stage};
use tch::{Device, Kind, Reduction, TchError, Tensor};

use crate::batch::DenseTargets;
use crate::distill::Distillation;
use crate::{Meter, Outputs, Targets, Task, TaskError};

/// Mean intersection over union of the classes, over all pixels of a set at the images' own sizes.
pub const MIOU: MetricInfo =
    MetricInfo { name: "miou", goal: Goal::Maximize, unit: "%", stage: Stage::Trained, label: "mIoU" };

/// [`MIOU`] of the network's int8 file.
pub const MIOU_INT8: MetricInfo = MetricInfo { name: "miou_int8", stage: Stage::Quantized, label: "mIoU int8", ..MIOU };

/// Share of the pixels whose class is right.
pub const PIXEL_ACCURACY: MetricInfo = MetricInfo {
    name: "pixel_accuracy",
    goal: Goal::Maximize,
    unit: "%",
    stage: Stage::Trained,
    label: "Pixel accuracy",
};

const NAME: &str = "segmentation";

/// Weight of the auxiliary head's loss.
const AUXILIARY: f64 = 0.4;

/// Semantic segmentation. Outputs are logits `[B, classes, h, w]`, which are resized to what they are compared with, and
/// those of an auxiliary head if there is one.
#[derive(Clone, Copy, Debug)]
pub struct Segmentation {
    /// Whether logits are resized corner to corner.
    pub align_corners: bool,
}

fn torch(e: TchError) -> TaskError {
    TaskError::torch(NAME)(e)
}

fn targets(targets: &Targets) -> Result<(&DenseTargets, &Tensor), TaskError> {
    match targets {
        Targets::Dense(all @ DenseTargets { map: Some(map), .. }) => Ok((all, map)),
        _ => Err(TaskError::Target { task: NAME, expected: "class map" }),
    }
}

/// Logits at a size.
fn resized(logits: &Tensor, size: [i64; 2], align_corners: bool) -> Result<Tensor, TchError> {
    match logits.size().get(2..) == Some(&size[..]) {
        true => Ok(logits.shallow_clone()),
        false => logits.f_upsample_bilinear2d(size, align_corners, None, None),
    }
}

impl Segmentation {
    /// Cross-entropy, the mean over the pixels whose class is known.
    fn cross_entropy(&self, logits: &Tensor, map: &Tensor, align: bool, smoothing: f64) -> Result<Tensor, TchError> {
        let size = map.size();
        let logits = resized(logits, [size[1], size[2]], align)?;
        let ignored = i64::from(IGNORED);
        let sum = logits.f_cross_entropy_loss(map, None::<&Tensor>, Reduction::Sum, ignored, smoothing)?;
        let known = map.f_ne(ignored)?.f_sum(Kind::Int64)?.f_clamp_min(1)?;
        sum.f_div(&known)
    }

    /// The class of each pixel at a size, for each image of a batch on its own: `sizes` are (columns, rows).
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn class_maps(&self, outputs: &Outputs, sizes: &[(usize, usize)]) -> Result<Vec<Vec<u8>>, TaskError> {
        let one = |(i, (w, h)): (usize, &(usize, usize))| -> Result<Vec<u8>, TchError> {
            let logits = outputs.heads[0].f_narrow(0, i as i64, 1)?;
            let map = resized(&logits, [*h as i64, *w as i64], self.align_corners)?.f_argmax(1, false)?;
            let map = map.f_to_device(Device::Cpu)?.f_to_kind(Kind::Uint8)?.f_contiguous()?;
            Vec::<u8>::try_from(map.f_view([-1])?)
        };
        tch::no_grad(|| sizes.iter().enumerate().map(one).collect::<Result<_, _>>()).map_err(torch)
    }
}

impl Task for Segmentation {
    fn name(&self) -> &'static str {
        NAME
    }

    fn labels(&self) -> Labels {
        Labels::ClassMaps
    }

    fn metrics(&self) -> &'static [MetricInfo] {
        &[MIOU, PIXEL_ACCURACY]
    }

    fn training_metrics(&self) -> &'static [MetricInfo] {
        &[PIXEL_ACCURACY]
    }

    fn loss(&self, outputs: &Outputs, targets: &Targets, label_smoothing: f64) -> Result<Tensor, TaskError> {
        let (_, map) = self::targets(targets)?;
        let loss = || {
            let mut sum = self.cross_entropy(&outputs.heads[0], map, self.align_corners, label_smoothing)?;
            for auxiliary in &outputs.heads[1..] {
                let part = self.cross_entropy(auxiliary, map, true, label_smoothing)?;
                sum = sum.f_add(&part.f_mul_scalar(AUXILIARY)?)?;
            }
            Ok(sum)
        };
        loss().map_err(torch)
    }

    /// The classes of all positions, at the teacher's size.
    fn distill(&self, student: &Outputs, teacher: &Outputs, how: Distillation) -> Result<Tensor, TaskError> {
        let loss = || {
            let taught = &teacher.heads[0];
            let size = taught.size();
            let logits = resized(&student.heads[0], [size[2], size[3]], self.align_corners)?;
            // A row for each position.
            let rows = |t: &Tensor| t.f_permute([0, 2, 3, 1])?.f_reshape([-1, size[1]]);
            how.loss(&rows(&logits)?, &rows(taught)?)
        };
        loss().map_err(torch)
    }

    fn example(&self, images: usize, size: (usize, usize)) -> Result<Targets, TaskError> {
        DenseTargets::example(images, size).map(Targets::Dense).map_err(torch)
    }

    fn draw(&self, outputs: &Outputs, pictures: &mut [Picture]) -> Result<(), TaskError> {
        let sizes: Vec<_> = pictures.iter().map(|p| (p.width, p.height)).collect();
        for (picture, labels) in pictures.iter_mut().zip(self.class_maps(outputs, &sizes)?) {
            let (width, height) = (picture.width, picture.height);
            draw_map(picture, &ClassMap { width, height, labels });
        }
        Ok(())
    }

    fn meter(&self) -> Box<dyn Meter> {
        Box::new(Overlap::new(*self))
    }

    fn training_meter(&self) -> Box<dyn Meter> {
        Box::new(PixelAccuracy { task: *self, correct: 0, pixels: 0, samples: 0 })
    }
}

/// The confusion matrix of a set.
#[derive(Debug)]
pub struct Overlap {
    task: Segmentation,
    matrix: Option<ConfusionMatrix>,
    samples: u64,
}

impl Overlap {
    /// Of no images so far.
    pub fn new(task: Segmentation) -> Overlap {
        Overlap { task, matrix: None, samples: 0 }
    }

    /// The confusion matrix; none before the first image.
    pub fn matrix(&self) -> Option<&ConfusionMatrix> {
        self.matrix.as_ref()
    }

    /// Adds the pixels of another confusion matrix, of so many images.
    pub fn add(&mut self, matrix: &ConfusionMatrix, images: u64) {
        self.samples += images;
        match &mut self.matrix {
            Some(own) => own.merge(matrix),
            None => self.matrix = Some(matrix.clone()),
        }
    }
}

impl Meter for Overlap {
    fn update(&mut self, outputs: &Outputs, targets: &Targets) -> Result<(), TaskError> {
        let Targets::Dense(all) = targets else {
            return Err(TaskError::Target { task: NAME, expected: "class map" });
        };
        let classes = outputs.heads[0].size()[1] as usize;
        let matrix = self.matrix.get_or_insert_with(|| ConfusionMatrix::new(classes));
        let sizes: Vec<_> = all.labels.iter().map(|l| (l.entry.width as usize, l.entry.height as usize)).collect();
        for (label, guess) in all.labels.iter().zip(self.task.class_maps(outputs, &sizes)?) {
            let truth = label.whole.as_ref().ok_or(TaskError::Target { task: NAME, expected: "class map" })?;
            matrix.update(&guess, &truth.labels, IGNORED)?;
            self.samples += 1;
        }
        Ok(())
    }

    fn merge(&mut self, other: &dyn Meter) {
        let Some(other) = other.as_any().downcast_ref::<Overlap>() else { return };
        if let Some(matrix) = &other.matrix {
            self.add(matrix, other.samples);
        }
    }

    fn samples(&self) -> u64 {
        self.samples
    }

    fn values(&self) -> Vec<f64> {
        let of = |f: fn(&ConfusionMatrix) -> Option<f64>| 100.0 * self.matrix.as_ref().and_then(f).unwrap_or(0.0);
        vec![of(ConfusionMatrix::mean_iou), of(ConfusionMatrix::pixel_accuracy)]
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Counts pixels whose class is right, at the size of the batch.
struct PixelAccuracy {
    task: Segmentation,
    correct: u64,
    pixels: u64,
    samples: u64,
}

impl Meter for PixelAccuracy {
    fn update(&mut self, outputs: &Outputs, targets: &Targets) -> Result<(), TaskError> {
        let (all, map) = self::targets(targets)?;
        let size = map.size();
        let counts = tch::no_grad(|| -> Result<(i64, i64), TchError> {
            let logits = resized(&outputs.heads[0], [size[1], size[2]], self.task.align_corners)?;
            let right = logits.f_argmax(1, false)?.f_eq_tensor(map)?.f_sum(Kind::Int64)?;
            Ok((i64::try_from(right)?, i64::try_from(map.f_ne(i64::from(IGNORED))?.f_sum(Kind::Int64)?)?))
        });
        let (correct, pixels) = counts.map_err(torch)?;
        self.correct += correct as u64;
        self.pixels += pixels as u64;
        self.samples += all.labels.len() as u64;
        Ok(())
    }

    fn merge(&mut self, other: &dyn Meter) {
        if let Some(other) = other.as_any().downcast_ref::<PixelAccuracy>() {
            self.correct += other.correct;
            self.pixels += other.pixels;
            self.samples += other.samples;
        }
    }

    fn samples(&self) -> u64 {
        self.samples
    }

    fn values(&self) -> Vec<f64> {
        vec![100.0 * self.correct as f64 / self.pixels.max(1) as f64]
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
