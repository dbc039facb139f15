//! Training: of a supernet by one of its rules, and of one network, by the same trainer.

pub mod backbone;
pub mod checkpoint;
pub mod collective;
mod ema;
mod events;
mod finite;
mod metrics_log;
pub mod optimizer;
mod passes;
pub mod recipe;
pub mod reduction;
pub mod schedule;
pub mod settings;
pub mod single_net;
pub mod supernet;
pub mod task_config;
pub mod teacher;
pub mod trainer;

use collective::CollectiveError;
use mobilenas_data::DataError;
use mobilenas_native::NativeError;
use mobilenas_space::ir::ShapeError;
use mobilenas_task::TaskError;
use mobilenas_torch::NetError;
use rayon::ThreadPoolBuildError;
use tch::{TchError, Tensor};

pub use metrics_log::MetricsRow;
pub use recipe::Recipe;
pub use trainer::{StepMetrics, TrainOutcome, TrainStep, Trainer, TrainerConfig};

/// What can go wrong in training.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A network or a weights file.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The loss or a metric.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// libtorch, outside of a network and of a task.
    #[error("libtorch: {0}")]
    Torch(TorchMessage),
    /// The training has diverged.
    #[error("{what} is {value}, expected a finite number")]
    NotFinite {
        /// What is not finite.
        what: String,
        /// What it is.
        value: f64,
    },
    /// The training has diverged for good.
    #[error(
        "{steps} steps in a row were not finite, also with a lower learning rate (the last one: {why}); it begins at {begin}"
    )]
    Diverged {
        /// Steps left out in a row.
        steps: u32,
        /// Where it begins.
        begin: String,
        /// What was wrong with the last one.
        why: String,
    },
    /// The gradients of a step's networks.
    #[error("libtorch: {0}")]
    Native(#[from] NativeError),
    /// The threads of a step's networks.
    #[error("training threads: {0}")]
    Threads(#[from] ThreadPoolBuildError),
    /// A network whose teacher has failed, for a reason of its own.
    #[error("the network's teacher gave no outputs")]
    NoTeacher,
    /// The metrics log cannot be written.
    #[error("{}: cannot write the training log ({source})", path.display())]
    Log {
        /// Its file.
        path: std::path::PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A teacher that cannot teach.
    #[error("teacher {teacher}: {found}, expected {expected}")]
    Teacher {
        /// The teacher.
        teacher: String,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// A checkpoint that does not belong to this training.
    #[error("checkpoint: {what} {found}")]
    Checkpoint {
        /// The tensor or word.
        what: String,
        /// What is wrong with it.
        found: String,
    },
    /// The other processes.
    #[error(transparent)]
    Collective(#[from] CollectiveError),
    /// The images.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The architecture.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

/// The first line of what libtorch says; made from its errors alone.
#[derive(Debug)]
pub struct TorchMessage(String);

impl std::fmt::Display for TorchMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TrainError {
    /// An error of libtorch.
    pub fn torch(e: TchError) -> TrainError {
        TrainError::Torch(TorchMessage(e.to_string().lines().next().unwrap_or_default().to_string()))
    }

    pub(crate) fn checkpoint(what: impl Into<String>, found: impl Into<String>) -> TrainError {
        TrainError::Checkpoint { what: what.into(), found: found.into() }
    }
}

/// Images at another size.
///
/// # Errors
/// When libtorch refuses.
pub fn resized(images: &Tensor, side: u32) -> Result<Tensor, TrainError> {
    let side = i64::from(side);
    match images.size()[2..] == [side, side] {
        true => Ok(images.shallow_clone()),
        false => images.f_upsample_bilinear2d([side, side], false, None, None).map_err(TrainError::torch),
    }
}
