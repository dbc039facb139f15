//! What trained weights and images tell: the metrics of the tasks.

use mobilenas_record::MetricInfo;
use mobilenas_task::TOP1;

use super::{Candidate, Metric};
use crate::evaluator::{EvalError, Evaluator};

/// A metric of a task, on the search-validation split, with weights inherited from the supernet.
pub struct Trained {
    info: MetricInfo,
    /// Its place among the task's metrics.
    place: usize,
}

/// The metric of image classification.
pub static CLASSIFICATION: Trained = Trained { info: TOP1, place: 0 };

/// The first metric of detection.
pub static MAP: Trained = Trained { info: mobilenas_task::MAP, place: 0 };

/// The second.
pub static MAP50: Trained = Trained { info: mobilenas_task::MAP50, place: 1 };

/// That of masks.
pub static MASK_MAP: Trained = Trained { info: mobilenas_task::MASK_MAP, place: 2 };

/// The first metric of segmentation.
pub static MIOU: Trained = Trained { info: mobilenas_task::MIOU, place: 0 };

/// The second.
pub static PIXEL_ACCURACY: Trained = Trained { info: mobilenas_task::PIXEL_ACCURACY, place: 1 };

impl Metric for Trained {
    fn info(&self) -> MetricInfo {
        self.info
    }

    fn eval(&self, c: &Candidate, evaluator: &mut dyn Evaluator) -> Result<f64, EvalError> {
        Ok(evaluator.trained(&c.graph)?[self.place])
    }
}
