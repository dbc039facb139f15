//! What can go wrong in a run, and which exit code tells it.

use std::path::PathBuf;

use mobilenas_coordinator::{PoolError, ServeError};
use mobilenas_host::LockError;
use mobilenas_reports::ReportError;
use mobilenas_space::SpaceError;
use mobilenas_space::ir::ShapeError;
use mobilenas_torch::NetError;

use crate::config::difference::Difference;
use crate::evaluator::EvalError;
use crate::experiment::ExperimentError;
use crate::journal::JournalError;
use mobilenas_bench::engine::EngineError;
use mobilenas_bench::on_device::OnDeviceError;
use mobilenas_data::DataError;
use mobilenas_train::TrainError;
use mobilenas_train::collective::CollectiveError;

/// A run that cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Weights of another network than the backbone.
    #[error("network.weights: {} has {found} of the {expected} tensors of the network's backbone, expected all", file.display())]
    Backbone {
        /// The file.
        file: PathBuf,
        /// Tensors that it has.
        found: usize,
        /// Tensors of the backbone.
        expected: usize,
    },
    /// Weights that the config names cannot be read, or are of another network.
    #[error("network.weights: {0}, expected weights of the network or of its backbone")]
    Initial(NetError),
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
    /// The folder holds a run of another config.
    #[error("{}: holds a run of another config{}", folder.display(), lines(keys))]
    OtherConfig {
        /// The folder.
        folder: PathBuf,
        /// The keys that differ.
        keys: Vec<Difference>,
    },
    /// The config in a folder is not the one that its run began with.
    #[error("{}: changed since the run began, expected the file as the run wrote it", path.display())]
    ConfigEdited {
        /// The file.
        path: PathBuf,
    },
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
    /// The other processes.
    #[error(transparent)]
    Collective(#[from] CollectiveError),
    /// Scoring.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// Timing.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The device that latencies are measured on.
    #[error(transparent)]
    Device(#[from] OnDeviceError),
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
    /// A config or a genome has no YAML.
    #[error("written as YAML: {0}")]
    Yaml(#[from] serde_yaml::ser::Error),
    /// A result has no JSON.
    #[error("written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A genome of a journal is none of the space.
    #[error("a genome of the journal: {0}")]
    Genome(SpaceError),
    /// A training of a space that the config does not have; its config was checked before.
    #[error("a training of the space at position {0}, which the config does not have")]
    NoSpace(usize),
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
    /// A network of a study that others scored.
    #[error("scoring {name}: {why}")]
    Scoring {
        /// The network.
        name: String,
        /// Why it failed.
        why: String,
    },
    /// No worker comes.
    #[error(transparent)]
    Workers(#[from] PoolError),
    /// The pipes of a worker.
    #[error("standard input and output: {0}")]
    Serving(#[from] ServeError),
    /// Trial after trial fails.
    #[error("{count} trials failed in a row, the last with: {why}")]
    Failing {
        /// How many.
        count: usize,
        /// The last error.
        why: String,
    },
}

fn lines(keys: &[Difference]) -> String {
    keys.iter().map(|key| format!("\n  {key}")).collect()
}

impl RunError {
    /// 2 for what the user has to mend in the input, 1 for a run that failed.
    pub fn exit_code(&self) -> i32 {
        match self {
            RunError::Prepare(ExperimentError::Shape(_) | ExperimentError::Engine(_)) => 1,
            RunError::Prepare(_)
            | RunError::Exists(_)
            | RunError::Backbone { .. }
            | RunError::Initial(_)
            | RunError::Train(TrainError::Teacher { .. })
            | RunError::Other { .. }
            | RunError::OtherConfig { .. }
            | RunError::ConfigEdited { .. }
            | RunError::Locked(LockError::Held { .. }) => 2,
            _ => 1,
        }
    }
}
