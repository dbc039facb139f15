//! What trained weights and images tell: the metrics of the tasks.

use mobilenas_record::MetricInfo;
use mobilenas_task::{Classification, Task};

use super::{Candidate, Metric};
use crate::evaluator::{EvalError, Evaluator};

/// A metric of a task, on the search-validation split, with weights inherited from the supernet.
pub struct Trained {
    task: &'static dyn Task,
    place: usize,
}

/// The metric of image classification.
pub static CLASSIFICATION: Trained = Trained { task: &Classification, place: 0 };

impl Metric for Trained {
    fn info(&self) -> MetricInfo {
        self.task.metrics()[self.place]
    }

    fn eval(&self, c: &Candidate, evaluator: &mut dyn Evaluator) -> Result<f64, EvalError> {
        Ok(evaluator.trained(&c.graph)?[self.place])
    }
}
