//! What the graph alone tells.

use mobilenas_reports::record::metric;
use mobilenas_space::memory;

use super::{Candidate, Lab, Metric, Stage};
use crate::strategy::Goal;
use crate::train::TrainError;

/// Learnable parameters.
pub struct Params;

impl Metric for Params {
    fn name(&self) -> &'static str {
        metric::PARAMS
    }

    fn goal(&self) -> Goal {
        Goal::Minimize
    }

    fn stage(&self) -> Stage {
        Stage::Analytic
    }

    fn eval(&self, c: &Candidate, _lab: &mut dyn Lab) -> Result<f64, TrainError> {
        Ok(c.cost.params as f64)
    }
}

/// Multiply-accumulates of one image.
pub struct Macs;

impl Metric for Macs {
    fn name(&self) -> &'static str {
        metric::MACS
    }

    fn goal(&self) -> Goal {
        Goal::Minimize
    }

    fn stage(&self) -> Stage {
        Stage::Analytic
    }

    fn eval(&self, c: &Candidate, _lab: &mut dyn Lab) -> Result<f64, TrainError> {
        Ok(c.cost.macs as f64)
    }
}

/// Peak memory of one image in bytes, single precision.
pub struct PeakMemory;

impl Metric for PeakMemory {
    fn name(&self) -> &'static str {
        metric::MEMORY
    }

    fn goal(&self) -> Goal {
        Goal::Minimize
    }

    fn stage(&self) -> Stage {
        Stage::Analytic
    }

    fn eval(&self, c: &Candidate, _lab: &mut dyn Lab) -> Result<f64, TrainError> {
        Ok(memory(&c.graph).bytes() as f64)
    }
}
