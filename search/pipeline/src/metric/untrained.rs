//! What an untrained network tells.

use mobilenas_record::{Goal, MetricInfo, Stage};

use super::{Candidate, Metric};
use crate::config::Proxy;
use crate::evaluator::{EvalError, Evaluator};

/// A zero-cost proxy. All of them are said to be larger for better networks.
pub struct Untrained(pub Proxy);

impl Metric for Untrained {
    fn info(&self) -> MetricInfo {
        let name = match self.0 {
            Proxy::Synflow => "synflow",
            Proxy::Nwot => "nwot",
            Proxy::GradNorm => "grad_norm",
        };
        MetricInfo { name, goal: Goal::Maximize, unit: "", stage: Stage::Untrained, label: name }
    }

    fn eval(&self, c: &Candidate, evaluator: &mut dyn Evaluator) -> Result<f64, EvalError> {
        evaluator.proxy(self.0, &c.graph)
    }
}
