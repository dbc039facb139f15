//! What a run on an engine tells.

use mobilenas_reports::record::metric;

use super::{Candidate, Lab, Metric, Stage};
use crate::strategy::Goal;
use crate::train::TrainError;

/// Median latency of one image in milliseconds.
pub struct LatencyMs;

impl Metric for LatencyMs {
    fn name(&self) -> &'static str {
        metric::LATENCY
    }

    fn goal(&self) -> Goal {
        Goal::Minimize
    }

    fn stage(&self) -> Stage {
        Stage::Measured
    }

    fn eval(&self, c: &Candidate, lab: &mut dyn Lab) -> Result<f64, TrainError> {
        lab.latency(&c.graph)
    }
}

/// Mobile efficiency score.
pub struct Mes;

impl Metric for Mes {
    fn name(&self) -> &'static str {
        metric::MES
    }

    fn goal(&self) -> Goal {
        Goal::Maximize
    }

    fn stage(&self) -> Stage {
        Stage::Measured
    }

    fn eval(&self, c: &Candidate, lab: &mut dyn Lab) -> Result<f64, TrainError> {
        let latency = c.known.get(metric::LATENCY).copied().unwrap_or(f64::NAN);
        Ok(lab.mes(c.cost.params as f64, latency))
    }
}
