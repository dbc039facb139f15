//! What the graph alone tells.

use mobilenas_record::MetricInfo;
use mobilenas_record::metric::{MACS, MEMORY, PARAMS};

use super::{Candidate, Metric};
use crate::evaluator::{EvalError, Evaluator};

/// Learnable parameters.
pub struct Params;

impl Metric for Params {
    fn info(&self) -> MetricInfo {
        PARAMS
    }

    fn eval(&self, c: &Candidate, _: &mut dyn Evaluator) -> Result<f64, EvalError> {
        Ok(c.cost.params as f64)
    }
}

/// Multiply-accumulates of one image.
pub struct Macs;

impl Metric for Macs {
    fn info(&self) -> MetricInfo {
        MACS
    }

    fn eval(&self, c: &Candidate, _: &mut dyn Evaluator) -> Result<f64, EvalError> {
        Ok(c.cost.macs as f64)
    }
}

/// Peak memory of one image in bytes, single precision.
pub struct PeakMemory;

impl Metric for PeakMemory {
    fn info(&self) -> MetricInfo {
        MEMORY
    }

    fn eval(&self, c: &Candidate, _: &mut dyn Evaluator) -> Result<f64, EvalError> {
        Ok(mobilenas_space::memory(&c.graph).bytes() as f64)
    }
}
