//! Tasks: what a network is trained and judged for. A task owns its loss, its distillation and its metrics; the trainer,
//! the evaluator and the reports know none of them by name.

mod batch;
mod class_report;
mod classification;
mod distill;

use std::any::Any;

use mobilenas_record::MetricInfo;
use tch::{TchError, Tensor};

pub use batch::{Batch, Targets};
pub use class_report::{ClassAccuracy, ClassReport};
pub use classification::{Classification, TEST_TOP1, TOP1};
pub use distill::{Distillation, alpha_divergence, soft_cross_entropy};

/// All tasks, the default first.
pub static TASKS: &[&dyn Task] = &[&Classification];

/// The task of that name.
pub fn task(name: &str) -> Option<&'static dyn Task> {
    TASKS.iter().copied().find(|t| t.name() == name)
}

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

/// What a task cannot do.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// libtorch.
    #[error("{task}: libtorch: {message}")]
    Torch {
        /// The task.
        task: &'static str,
        /// The first line of what it says.
        message: String,
    },
    /// Samples with targets of another task.
    #[error("{task}: found a sample without a {expected}, expected one for each image")]
    Target {
        /// The task.
        task: &'static str,
        /// What was expected.
        expected: &'static str,
    },
}

impl TaskError {
    pub(crate) fn torch(task: &'static str) -> impl Fn(TchError) -> TaskError {
        move |e| TaskError::Torch { task, message: e.to_string().lines().next().unwrap_or_default().to_string() }
    }
}
