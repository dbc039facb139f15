//! What can go wrong between a graph and libtorch.

use crate::weights::Misfit;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// libtorch refused an operation.
    #[error("{at}: libtorch: {message}")]
    Torch {
        /// Path of the operation, or what was being done.
        at: String,
        /// The first line of libtorch's message.
        message: String,
    },
    /// A tensor is not there.
    #[error("{name}: no such tensor, expected one of shape {expected:?}")]
    Missing {
        /// Its name.
        name: String,
        /// Its shape.
        expected: Vec<i64>,
    },
    /// A tensor has another shape.
    #[error("{name}: shape {found:?}, expected {expected:?}")]
    Shape {
        /// Its name.
        name: String,
        /// The shape it has.
        found: Vec<i64>,
        /// The shape it should have.
        expected: Vec<i64>,
    },
    /// Tensors are not a network's: every difference.
    #[error("{}", listed(.0))]
    Misfits(Vec<Misfit>),
    /// A tensor cannot be cut from the one that is shared.
    #[error("{name}: axis {axis} cannot be cut from the shared tensor: {found}, expected {expected}")]
    Slice {
        /// Its name.
        name: String,
        /// The axis.
        axis: usize,
        /// The rule of the smaller network.
        found: String,
        /// What the shared tensor offers.
        expected: String,
    },
    /// A node is not what its operation makes.
    #[error("{at}: libtorch made {found:?}, the graph says {expected:?}")]
    Disagree {
        /// Path of the operation.
        at: String,
        /// The size libtorch made, with the batch.
        found: Vec<i64>,
        /// The size in the graph, with the batch.
        expected: Vec<i64>,
    },
    /// The graph cannot be written as ONNX.
    #[error(transparent)]
    Onnx(#[from] mobilenas_space::onnx::OnnxError),
    /// A weights file could not be read or written.
    #[error("{path}: {found}, expected {expected}")]
    File {
        /// The file.
        path: String,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
}

/// All differences, one after another.
fn listed(misfits: &[Misfit]) -> String {
    misfits.iter().map(Misfit::to_string).collect::<Vec<_>>().join("; ")
}

/// Gives an error of libtorch its place, and keeps the first line of its message.
pub(crate) fn torch(at: impl std::fmt::Display) -> impl FnOnce(tch::TchError) -> NetError {
    move |e| {
        let text = e.to_string();
        let line = text.lines().next().unwrap_or_default().trim_start_matches("Internal torch error: ").to_string();
        NetError::Torch { at: at.to_string(), message: line }
    }
}
