//! Tasks: what a network is trained and judged for. A task owns its loss, its distillation and its metrics; the trainer,
//! the evaluator and the reports know none of them by name.

mod batch;
mod class_report;
mod classification;
mod distill;
mod error;
mod task;

pub use batch::{Batch, Targets};
pub use class_report::{ClassAccuracy, ClassReport};
pub use classification::{Classification, TEST_TOP1, TOP1};
pub use distill::{Distillation, alpha_divergence, soft_cross_entropy};
pub use error::TaskError;
pub use task::{Meter, Outputs, Task};

/// All tasks, the default first.
pub static TASKS: &[&dyn Task] = &[&Classification];

/// The task of that name.
pub fn task(name: &str) -> Option<&'static dyn Task> {
    TASKS.iter().copied().find(|t| t.name() == name)
}
