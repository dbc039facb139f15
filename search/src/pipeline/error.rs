//! What can go wrong in a run, and which exit code tells it.

use std::path::PathBuf;

use mobilenas_host::LockError;
use mobilenas_reports::ReportError;
use mobilenas_space::ir::ShapeError;
use mobilenas_torch::NetError;

use crate::evaluator::EvalError;
use crate::experiment::ExperimentError;
use crate::journal::JournalError;
use mobilenas_bench::engine::EngineError;
use mobilenas_data::DataError;
use mobilenas_train::TrainError;

/// A run that cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The config or the data.
    #[error(transparent)]
    Prepare(#[from] ExperimentError),
    /// The folder holds something.
    #[error("{}: exists, expected a new folder; --resume goes on with a run that is there", .0.display())]
    Exists(PathBuf),
    /// The folder holds another run.
    #[error("{}: holds a run of another {what}: {found}, expected {expected}", folder.display())]
    Other {
        /// The folder.
        folder: PathBuf,
        /// What differs.
        what: &'static str,
        /// What the folder has.
        found: String,
        /// What this run has.
        expected: String,
    },
    /// Another process writes in the folder.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// The disk.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Training.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// Scoring.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// Timing.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The images.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The system does not tell this program's file, which worker processes run.
    #[error("this program's own file: {0}")]
    Program(std::io::Error),
    /// Weights.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The architecture.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The report.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The config could not be written.
    #[error("the resolved config cannot be written: {0}")]
    Config(String),
    /// The reference network is gone.
    #[error("the reference network of the score is not among the families")]
    Reference,
    /// A training that another process did.
    #[error("training {name}: {why}")]
    Training {
        /// The network.
        name: String,
        /// Why it failed.
        why: String,
    },
    /// Trial after trial fails.
    #[error("{count} trials failed in a row, the last with: {why}")]
    Failing {
        /// How many.
        count: usize,
        /// The last error.
        why: String,
    },
}

impl RunError {
    /// 2 for what the user has to mend in the input, 1 for a run that failed.
    pub fn exit_code(&self) -> i32 {
        match self {
            RunError::Prepare(ExperimentError::Shape(_) | ExperimentError::Engine(_)) => 1,
            RunError::Prepare(_) | RunError::Exists(_) | RunError::Other { .. } => 2,
            RunError::Locked(LockError::Held { .. }) => 2,
            _ => 1,
        }
    }
}
