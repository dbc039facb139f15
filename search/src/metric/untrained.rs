//! What an untrained network tells.

use super::{Candidate, Lab, Metric, Stage};
use crate::config::Proxy;
use crate::strategy::Goal;
use crate::train::TrainError;

/// A zero-cost proxy. All of them are said to be larger for better networks.
pub struct Untrained(pub Proxy);

impl Metric for Untrained {
    fn name(&self) -> &'static str {
        match self.0 {
            Proxy::Synflow => "synflow",
            Proxy::Nwot => "nwot",
            Proxy::GradNorm => "grad_norm",
        }
    }

    fn goal(&self) -> Goal {
        Goal::Maximize
    }

    fn stage(&self) -> Stage {
        Stage::Untrained
    }

    fn eval(&self, c: &Candidate, lab: &mut dyn Lab) -> Result<f64, TrainError> {
        lab.proxy(self.0, &c.graph)
    }
}
