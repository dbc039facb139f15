//! int8 files: calibrated on training images, compared with the float32 file on the test split.

use std::path::Path;
use std::sync::Arc;

use mobilenas_bench::engine::Session as _;
use mobilenas_bench::engine::onnxruntime::File;
use mobilenas_bench::int8::Calibrator;
use mobilenas_space::families::Preprocessing;
use rand::seq::SliceRandom as _;
use serde::Serialize;
use tch::{Kind, Tensor};

use crate::config::{self, DataName};
use crate::experiment::Experiment;
use mobilenas_data::dataset::{self, DataError, Dataset, Test};
use mobilenas_data::loader::{DamagedImages, Normalization, TransformedDataset};
use mobilenas_host::Progress;
use mobilenas_host::Stop;
use mobilenas_image::Pipeline;
use mobilenas_space::seed::{Purpose, rng};
use mobilenas_task::{Batch, Targets};
use mobilenas_train::resized;

use crate::evaluator::EvalError;

/// The training images of a network and its test images.
#[derive(Debug)]
pub struct Sets {
    /// The training set.
    pub train: TransformedDataset,
    /// The images of it that weights were trained on.
    pub trained: Vec<usize>,
    /// The test set.
    pub test: TransformedDataset,
    /// Its images.
    pub test_split: Test,
    /// Which training images calibrate derives from it.
    pub seed: u64,
}

impl From<Experiment> for Sets {
    fn from(p: Experiment) -> Sets {
        let (trained, seed) = (p.split.train, p.config.seed);
        Sets { train: p.train, trained, test: p.test, test_split: p.test_split, seed }
    }
}

impl Sets {
    /// `DIR/train` and `DIR/val`, for a network that wants its images so.
    ///
    /// # Errors
    /// When there are no such images.
    pub fn folder(dir: &Path, side: u32, how: Preprocessing) -> Result<Sets, DataError> {
        let c = config::DataConfig { name: DataName::FOLDER, dir: Some(dir.to_path_buf()), ..Default::default() };
        let (dataset::Splits { train, test, .. }, limit) = (c.load()?, c.damaged_limit);
        let view = |data: Dataset| TransformedDataset {
            norm: Normalization::rgb(how.mean, how.std),
            frame: Pipeline { side, how },
            side: Some(side),
            damaged: Arc::new(DamagedImages::new(data.images.len(), limit)),
            budget: Arc::default(),
            data: Arc::new(data),
        };
        let (trained, test_split) = ((0..train.images.len()).collect(), dataset::test_split(&test, None));
        Ok(Sets { train: view(train), trained, test: view(test), test_split, seed: 0 })
    }

    /// Training images to calibrate on: a fixed, seeded list.
    fn calibration(&self, n: usize) -> Vec<usize> {
        let mut all = self.trained.clone();
        all.shuffle(&mut rng(self.seed, Purpose::Recalibrate, 0, 0));
        all.truncate(n);
        all
    }
}

/// How a file takes its images.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Their side in pixels.
    pub side: u32,
    /// So many at once.
    pub batch: usize,
    /// Whether it must be so many.
    pub fixed: bool,
}

impl Shape {
    /// Images as a file takes them: where some are missing the last one stands in.
    fn of(&self, images: &Tensor) -> Result<Tensor, EvalError> {
        let (images, n) = (resized(images, self.side)?, images.size().first().copied().unwrap_or_default());
        if !self.fixed || n == self.batch as i64 {
            return Ok(images);
        }
        let places: Vec<i64> = (0..self.batch as i64).map(|i| i.min(n - 1)).collect();
        Tensor::f_from_slice(&places).and_then(|p| images.f_index_select(0, &p)).map_err(EvalError::from)
    }
}

/// Lets a network look at up to `n` training images. Gives how many there were; `None` when it was asked to stop.
///
/// # Errors
/// When the runtime refuses, or too many images are damaged.
pub fn calibrate(
    calibrator: &mut Calibrator,
    sets: &Sets,
    (shape, n): (Shape, usize),
    (stop, bar): (&Stop, &Progress),
) -> Result<Option<usize>, EvalError> {
    let list = sets.calibration(n);
    bar.begin(list.len() as u64, 0);
    let mut done = 0;
    for batch in sets.train.batches(&list, shape.batch) {
        if stop.asked() {
            return Ok(None);
        }
        let batch = batch?;
        let batch = Batch::new(&batch)?;
        let here = batch.len();
        if here > 0 {
            calibrator.see(&shape.of(&batch.images)?)?;
        }
        done += here;
        bar.at(done as u64, "");
    }
    bar.done();
    Ok(Some(done))
}

/// How two files of one network did on the same images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Images.
    pub images: u64,
    /// Images whose likeliest class is right: by the float32 file.
    pub float32_right: u64,
    /// By the int8 file.
    pub int8_right: u64,
    /// Images that both give the same class.
    pub same: u64,
}

impl Comparison {
    /// Top-1 of the float32 file and of the int8 file, in percent.
    pub fn top1(&self) -> [f64; 2] {
        [self.float32_right, self.int8_right].map(|right| 100.0 * right as f64 / self.images.max(1) as f64)
    }

    /// Share of the images that both give the same class, in percent.
    pub fn agreement(&self) -> f64 {
        100.0 * self.same as f64 / self.images.max(1) as f64
    }
}

/// Runs two files, float32 and int8, on the test split. `None` when it was asked to stop. It decides nothing: the file is
/// written before.
///
/// # Errors
/// When the runtime refuses, or too many images are damaged.
pub fn compare(
    files: (&mut File, &mut File),
    sets: &Sets,
    shape: Shape,
    (stop, bar): (&Stop, &Progress),
) -> Result<Option<Comparison>, EvalError> {
    let list = sets.test_split.indices();
    bar.begin(list.len() as u64, 0);
    let mut out = Comparison::default();
    for batch in sets.test.batches(list, shape.batch) {
        if stop.asked() {
            return Ok(None);
        }
        let batch = batch?;
        let batch = Batch::new(&batch)?;
        let n = batch.len() as i64;
        if n == 0 {
            continue;
        }
        let Targets::Classes { labels, .. } = &batch.targets;
        let images = shape.of(&batch.images)?;
        let classes = |file: &mut File| -> Result<Tensor, EvalError> {
            let logits = file.run(&images)?;
            logits.f_narrow(0, 0, n).and_then(|l| l.f_argmax(-1, false)).map_err(EvalError::from)
        };
        let (float32, int8) = (classes(&mut *files.0)?, classes(&mut *files.1)?);
        out.images += n as u64;
        out.float32_right += equal(&float32, labels)?;
        out.int8_right += equal(&int8, labels)?;
        out.same += equal(&float32, &int8)?;
        bar.at(out.images, "");
    }
    bar.done();
    Ok(Some(out))
}

/// How many places of two lists of classes are equal.
fn equal(a: &Tensor, b: &Tensor) -> Result<u64, EvalError> {
    let same = a.f_eq_tensor(b).and_then(|e| e.f_sum(Kind::Int64)).map_err(EvalError::from)?;
    Ok(i64::try_from(same).map_err(EvalError::from)? as u64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_last_image_stands_in_for_missing_ones() {
        let shape = Shape { side: 2, batch: 4, fixed: true };
        let images = Tensor::from_slice(&[1f32, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0]).view([2, 1, 2, 2]);
        let filled = shape.of(&images).unwrap();
        assert_eq!(filled.size(), [4, 1, 2, 2]);
        assert_eq!(
            Vec::<f32>::try_from(filled.mean_dim(&[1i64, 2, 3][..], false, Kind::Float)).unwrap(),
            [1.0, 2.0, 2.0, 2.0]
        );
        assert_eq!(Shape { fixed: false, ..shape }.of(&images).unwrap().size(), [2, 1, 2, 2]);
    }

    #[test]
    fn shares_are_of_the_images_that_were_read() {
        let j = Comparison { images: 200, float32_right: 180, int8_right: 179, same: 190 };
        assert_eq!((j.top1(), j.agreement()), ([90.0, 89.5], 95.0));
        assert_eq!(Comparison::default().top1(), [0.0, 0.0]);
    }
}
