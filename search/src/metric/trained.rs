//! What trained weights and images tell.

use mobilenas_reports::record::metric;

use super::{Candidate, Lab, Metric, Stage};
use crate::strategy::Goal;
use crate::train::TrainError;

/// Top-1 on the search-validation split in percent, with weights inherited from the supernet.
pub struct Top1;

impl Metric for Top1 {
    fn name(&self) -> &'static str {
        metric::TOP1
    }

    fn goal(&self) -> Goal {
        Goal::Maximize
    }

    fn stage(&self) -> Stage {
        Stage::Trained
    }

    fn eval(&self, c: &Candidate, lab: &mut dyn Lab) -> Result<f64, TrainError> {
        lab.top1(&c.graph)
    }
}
