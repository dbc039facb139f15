//! What a network's int8 file tells.

use mobilenas_record::MetricInfo;
use mobilenas_task::TOP1_INT8;

use super::{Candidate, Metric};
use crate::evaluator::{EvalError, Evaluator};

/// Top-1 of the int8 file on the search-validation split, with weights inherited from the supernet.
pub struct Top1Int8;

impl Metric for Top1Int8 {
    fn info(&self) -> MetricInfo {
        TOP1_INT8
    }

    fn eval(&self, c: &Candidate, evaluator: &mut dyn Evaluator) -> Result<f64, EvalError> {
        evaluator.quantized(&c.graph)?.first().copied().ok_or(EvalError::NotHere("top-1 of an int8 file"))
    }
}
