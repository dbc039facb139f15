//! int8 files: calibrated on training images, compared with the float32 file on the test split.

use std::sync::Arc;

use mobilenas_bench::engine::int8::Calibrator;
use mobilenas_bench::engine::onnxruntime::File;
use mobilenas_data::Labels;
use mobilenas_record::MetricInfo;
use mobilenas_space::families::Preprocessing;
use mobilenas_space::ir::Graph;
use rand::seq::SliceRandom as _;
use tch::Tensor;

use crate::config;
use crate::experiment::Experiment;
use mobilenas_data::dataset::{self, DataError, Dataset, Test};
use mobilenas_data::loader::{DamagedImages, Normalization, TransformedDataset};
use mobilenas_host::Progress;
use mobilenas_host::Stop;
use mobilenas_image::Pipeline;
use mobilenas_space::seed::{Purpose, rng};
use mobilenas_task::{Batch, Outputs, Targets, Task};
use mobilenas_train::resized;

use crate::evaluator::{EvalError, file_outputs};

/// The images that a network was trained on, and those that it is tested on.
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
    /// The choice of the calibration images derives from it.
    pub seed: u64,
    /// What the network is judged for.
    pub task: &'static dyn Task,
}

impl From<Experiment> for Sets {
    fn from(p: Experiment) -> Sets {
        let (trained, seed, task) = (p.split.train, p.config.seed, p.task);
        Sets { train: p.train, trained, test: p.test, test_split: p.test_split, seed, task }
    }
}

impl Sets {
    /// Both splits of a dataset, for a network that wants its images so.
    ///
    /// # Errors
    /// When there are no such images.
    pub fn of(
        c: &config::DataConfig,
        task: &'static dyn Task,
        (side, how): (u32, Preprocessing),
    ) -> Result<Sets, DataError> {
        let (dataset::Splits { train, test, .. }, limit) = (c.load_with(task.labels())?, c.damaged_limit);
        let view = |data: Dataset| TransformedDataset {
            norm: Normalization::rgb(how.mean, how.std),
            frame: Pipeline { side, how },
            side: Some(side),
            damaged: Arc::new(DamagedImages::new(data.images.len(), limit)),
            budget: Arc::default(),
            data: Arc::new(data),
        };
        let (trained, test_split) = ((0..train.images.len()).collect(), dataset::test_split(&test, None));
        Ok(Sets { train: view(train), trained, test: view(test), test_split, seed: 0, task })
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

/// A float32 file and an int8 file of one network on the same images.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Images.
    pub images: u64,
    /// The task's metrics of the float32 file and of the int8 file.
    pub metrics: Vec<(&'static MetricInfo, [f64; 2])>,
    /// Share of the images to which both files of a classifier give the same class, in percent.
    pub agreement: Option<f64>,
}

/// Runs a float32 file and an int8 file on the test split. `None` when it was asked to stop. It decides nothing: the file
/// is written before.
///
/// # Errors
/// When the runtime refuses, or too many images are damaged.
pub fn compare(
    files: (&mut File, &mut File),
    graph: &Arc<Graph>,
    (sets, shape): (&Sets, Shape),
    (stop, bar): (&Stop, &Progress),
) -> Result<Option<Comparison>, EvalError> {
    let list = sets.test_split.indices();
    bar.begin(list.len() as u64, 0);
    let [mut float32, mut int8] = [(); 2].map(|()| sets.task.meter());
    let mut same = (sets.task.labels() == Labels::Classes).then(|| sets.task.meter());
    let mut done = 0;
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
        let images = shape.of(&batch.images)?;
        let outputs = |file: &mut File| -> Result<Outputs, EvalError> {
            let all = file_outputs(file, graph, &images)?;
            let heads = all.heads.iter().map(|t| t.f_narrow(0, 0, n)).collect::<Result<_, _>>()?;
            Ok(Outputs { heads, ..all })
        };
        let (a, b) = (outputs(&mut *files.0)?, outputs(&mut *files.1)?);
        float32.update(&a, &batch.targets)?;
        int8.update(&b, &batch.targets)?;
        if let Some(same) = &mut same {
            same.update(&b, &Targets::Classes { labels: a.heads[0].f_argmax(-1, false)?, mixed: None })?;
        }
        done += n as u64;
        bar.at(done, "");
    }
    bar.done();
    let both = float32.values().into_iter().zip(int8.values()).map(|(was, is)| [was, is]);
    let metrics = sets.task.metrics().iter().zip(both).collect();
    let agreement = same.and_then(|same| same.values().first().copied());
    Ok(Some(Comparison { images: done, metrics, agreement }))
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
            Vec::<f32>::try_from(filled.mean_dim(&[1i64, 2, 3][..], false, tch::Kind::Float)).unwrap(),
            [1.0, 2.0, 2.0, 2.0]
        );
        assert_eq!(Shape { fixed: false, ..shape }.of(&images).unwrap().size(), [2, 1, 2, 2]);
    }
}
