//! The one description of a network: a graph of primitive operations, shape-checked as it is built.

mod block;
mod builder;
mod fuse;
mod graph;
mod op;
mod op_params;
mod param;
mod path;
mod regularize;
mod value;

pub use block::{Block, Key, Placed, Plan};
pub use builder::{Builder, Val};
pub use fuse::{Folded, fold_batch_norms};
pub(crate) use graph::Fnv;
pub use graph::{Graph, Node, Range};
pub use op::{ActFn, BN_EPS, GROUP_NORM_EPS, Groups, InitStyle, Layout, Op};
pub use param::{Init, ParamSpec, Role, SliceRule, distances};
pub use path::{Path, Step};
pub use regularize::{Regularize, regularize};
pub use value::{Dims, Section, Sections, Value};

/// An operation that does not fit its inputs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {op} got {found}, expected {expected}")]
pub struct ShapeError {
    /// Path of the operation.
    pub at: String,
    /// The operation.
    pub op: String,
    /// What it was given.
    pub found: String,
    /// What it takes.
    pub expected: String,
}

impl ShapeError {
    /// An error whose path is filled in by the builder.
    pub fn new(op: &str, found: impl Into<String>, expected: impl Into<String>) -> ShapeError {
        ShapeError { at: String::new(), op: op.to_string(), found: found.into(), expected: expected.into() }
    }

    pub(crate) fn at(mut self, path: &Path) -> ShapeError {
        if self.at.is_empty() {
            self.at = path.to_string();
        }
        self
    }
}
