//! What a network's int8 file tells: the tasks' first metrics.

use mobilenas_record::MetricInfo;
use mobilenas_task::{MAP_INT8, MIOU_INT8, TOP1_INT8};

use super::{Candidate, Metric};
use crate::evaluator::{EvalError, Evaluator};

/// The first metric of a task, of the int8 file on the search-validation split, with weights inherited from the supernet.
pub struct Quantized(MetricInfo);

/// That of image classification.
pub static CLASSIFICATION: Quantized = Quantized(TOP1_INT8);

/// That of detection.
pub static MAP: Quantized = Quantized(MAP_INT8);

/// That of segmentation.
pub static MIOU: Quantized = Quantized(MIOU_INT8);

impl Metric for Quantized {
    fn info(&self) -> MetricInfo {
        self.0
    }

    fn eval(&self, c: &Candidate, evaluator: &mut dyn Evaluator) -> Result<f64, EvalError> {
        evaluator.quantized(&c.graph)?.first().copied().ok_or(EvalError::NotHere("the score of an int8 file"))
    }
}
