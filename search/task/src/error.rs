//! What a task cannot do.

use mobilenas_dense::DenseError;
use mobilenas_torch::NetError;
use tch::TchError;

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
    /// The network, where a task runs a part of it.
    #[error(transparent)]
    Net(#[from] NetError),
    /// Boxes, class maps or anchors.
    #[error(transparent)]
    Dense(#[from] DenseError),
    /// Outputs that are not those of a network for the task.
    #[error("{task}: found {found}, expected {expected}")]
    Outputs {
        /// The task.
        task: &'static str,
        /// What was found.
        found: String,
        /// What was expected.
        expected: &'static str,
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
