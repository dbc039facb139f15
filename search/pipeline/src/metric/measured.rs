//! What a run on an engine tells.

use mobilenas_record::MetricInfo;
use mobilenas_record::metric::{LATENCY, MES};

use super::{Candidate, Metric};
use crate::evaluator::{EvalError, Evaluator};

/// Median latency of one image in milliseconds.
pub struct LatencyMs;

impl Metric for LatencyMs {
    fn info(&self) -> MetricInfo {
        LATENCY
    }

    fn eval(&self, c: &Candidate, evaluator: &mut dyn Evaluator) -> Result<f64, EvalError> {
        evaluator.latency(&c.graph)
    }
}

/// Mobile efficiency score.
pub struct Mes;

impl Metric for Mes {
    fn info(&self) -> MetricInfo {
        MES
    }

    fn eval(&self, c: &Candidate, evaluator: &mut dyn Evaluator) -> Result<f64, EvalError> {
        let latency = c.known.get(LATENCY.name).copied().unwrap_or(f64::NAN);
        Ok(evaluator.mes(c.cost.params as f64, latency))
    }
}
