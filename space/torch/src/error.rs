//! What can go wrong between a graph and libtorch.

use std::fmt::Display;

use mobilenas_native::NativeError;
use mobilenas_onnx::OnnxError;
use tch::TchError;

use crate::weights::Misfit;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// libtorch failed.
    #[error("{at}: libtorch: {message}")]
    Torch {
        /// Path of the operation, name of the tensor, or what was being done.
        at: String,
        /// The first line of libtorch's message.
        message: String,
    },
    /// An operation was given what it does not take.
    #[error("{at}: {error}")]
    Op {
        /// Path of the operation.
        at: String,
        /// What it was given.
        error: OpError,
    },
    /// The value of a node was read before it was computed, or after it was freed.
    #[error("{at}: its value is not there")]
    NoValue {
        /// Path of the node that reads it, or `output`.
        at: String,
    },
    /// A block was given more or fewer values than it reads.
    #[error("found {found} values, expected {expected}: one for each that the network reads")]
    Inputs {
        /// How many there are.
        found: usize,
        /// How many it reads.
        expected: usize,
    },
    /// A step has no kernel.
    #[error("{at}: no kernel computes it")]
    NoKernel {
        /// Path of the node whose value the step computes.
        at: String,
    },
    /// A tensor that a network needs is missing.
    #[error("{name}: no such tensor, expected one of shape {expected:?}")]
    Missing {
        /// Its name.
        name: String,
        /// Its shape.
        expected: Vec<i64>,
    },
    /// There is no tensor of this name.
    #[error("{name}: no such tensor")]
    Unknown {
        /// The name.
        name: String,
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
    /// Indices are not those that a network's size gives.
    #[error("{name} holds other indices, expected the distances on a grid of {h} x {w}")]
    Indices {
        /// Their name.
        name: String,
        /// Height of the grid.
        h: u32,
        /// Its width.
        w: u32,
    },
    /// A checkpoint has its tensors in parts, and none was chosen that has some.
    #[error("{path}: {found}, expected the name of a part with tensors: {}", parts_of(.parts))]
    Part {
        /// The file.
        path: String,
        /// What was found.
        found: String,
        /// Its parts with the numbers of their tensors, most first.
        parts: Vec<(String, usize)>,
    },
    /// Tensors are not a network's: every difference.
    #[error("{}", listed(.0))]
    Misfits(Vec<Misfit>),
    /// A subnet's tensor is not a slice of the shared one.
    #[error("{name}: axis {axis} is not a slice of the shared tensor: found {found}, expected {expected}")]
    Slice {
        /// Its name.
        name: String,
        /// The axis.
        axis: usize,
        /// The rule of the subnet.
        found: String,
        /// What the shared tensor offers.
        expected: String,
    },
    /// A value has another size than the graph says.
    #[error("{at}: libtorch computed {found:?}, the graph says {expected:?}")]
    Disagree {
        /// Path of the operation.
        at: String,
        /// The size that libtorch computed, with the batch.
        found: Vec<i64>,
        /// The size in the graph, with the batch.
        expected: Vec<i64>,
    },
    /// The graph cannot be written as ONNX.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
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

/// Why an operation could not be computed; [`NetError`] adds where.
#[derive(Debug, thiserror::Error)]
pub enum OpError {
    /// libtorch failed.
    #[error("libtorch: {0}")]
    Torch(#[from] TchError),
    /// An operator that tch lacks failed.
    #[error("libtorch: {0}")]
    Native(#[from] NativeError),
    /// It has too few inputs or tensors.
    #[error("{op} without its {missing}")]
    Incomplete {
        /// Name of the operation.
        op: &'static str,
        /// What is missing.
        missing: &'static str,
    },
    /// An input has a shape that it does not take.
    #[error("input of shape {0:?}, which the operation does not take")]
    Input(Vec<i64>),
}

fn parts_of(parts: &[(String, usize)]) -> String {
    parts.iter().map(|(name, n)| format!("{name} ({n} tensors)")).collect::<Vec<_>>().join(", ")
}

/// All differences, one after another.
fn listed(misfits: &[Misfit]) -> String {
    misfits.iter().map(Misfit::to_string).collect::<Vec<_>>().join("; ")
}

/// Gives an error of libtorch its place, and keeps the first line of its message.
pub fn torch(at: impl Display) -> impl FnOnce(TchError) -> NetError {
    move |e| {
        let text = e.to_string();
        let line = text.lines().next().unwrap_or_default().trim_start_matches("Internal torch error: ").to_string();
        NetError::Torch { at: at.to_string(), message: line }
    }
}

/// Gives an error of an operation its place.
pub(crate) fn op(at: impl Display) -> impl FnOnce(OpError) -> NetError {
    move |e| match e {
        OpError::Torch(e) => torch(at)(e),
        error => NetError::Op { at: at.to_string(), error },
    }
}
