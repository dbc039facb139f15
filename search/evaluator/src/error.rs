//! What keeps a candidate from being scored.

use mobilenas_bench::engine::EngineError;
use mobilenas_bench::latency_table::TableError;
use mobilenas_data::DataError;
use mobilenas_space::ir::ShapeError;
use mobilenas_task::TaskError;
use mobilenas_torch::NetError;
use mobilenas_train::TrainError;

/// What keeps a candidate from being scored.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// Training code: losses, images as tensors.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The task's metrics.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The network.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The architecture.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The images.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The latency table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Its latency could not be measured in fresh processes.
    #[error("latency: {0}")]
    Latency(String),
    /// This evaluator does not compute that.
    #[error("{0} is not computed here")]
    NotHere(&'static str),
    /// A list of images is empty.
    #[error("no images to {0} with")]
    NoImages(&'static str),
    /// Threads could not be started.
    #[error("evaluation threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

impl From<tch::TchError> for EvalError {
    fn from(e: tch::TchError) -> EvalError {
        EvalError::Train(TrainError::torch(e))
    }
}
