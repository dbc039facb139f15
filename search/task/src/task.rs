//! What a task is.

use std::any::Any;

use mobilenas_record::MetricInfo;
use tch::Tensor;

use crate::batch::Targets;
use crate::distill::Distillation;
use crate::error::TaskError;

/// What a network gives for a batch: one tensor a head. A classifier's are logits `[B, classes]`.
#[derive(Debug)]
pub struct Outputs {
    /// The heads, in the graph's order; never empty.
    pub heads: Vec<Tensor>,
}

impl Outputs {
    /// The output of a network whose heads are already averaged.
    pub fn one(output: Tensor) -> Outputs {
        Outputs { heads: vec![output] }
    }
}

/// What a network is trained and judged for.
pub trait Task: Sync + std::fmt::Debug {
    /// Its name in configs.
    fn name(&self) -> &'static str;

    /// What is measured on trained weights and images; the first is primary.
    fn metrics(&self) -> &'static [MetricInfo];

    /// The loss of outputs against targets, the mean over the batch; heads weigh alike.
    ///
    /// # Errors
    /// When libtorch refuses, or the targets are not this task's.
    fn loss(&self, outputs: &Outputs, targets: &Targets, label_smoothing: f64) -> Result<Tensor, TaskError>;

    /// The loss of a student's outputs against a teacher's, the mean over the batch.
    ///
    /// # Errors
    /// When libtorch refuses.
    fn distill(&self, student: &Outputs, teacher: &Outputs, how: Distillation) -> Result<Tensor, TaskError>;

    /// An empty meter of [`Task::metrics`].
    fn meter(&self) -> Box<dyn Meter>;
}

/// Accumulates a task's metrics over batches.
pub trait Meter: Send {
    /// Counts a batch, by the first head.
    ///
    /// # Errors
    /// When libtorch refuses, or the targets are not this task's.
    fn update(&mut self, outputs: &Outputs, targets: &Targets) -> Result<(), TaskError>;

    /// Adds what another meter of the same task has counted.
    fn merge(&mut self, other: &dyn Meter);

    /// Samples counted.
    fn samples(&self) -> u64;

    /// The metrics, in the order of [`Task::metrics`].
    fn values(&self) -> Vec<f64>;

    /// The meter itself, for [`Meter::merge`].
    fn as_any(&self) -> &dyn Any;
}
