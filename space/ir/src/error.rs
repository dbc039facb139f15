//! An operation that does not fit its inputs.

use super::Path;

/// An operation that does not fit its inputs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {op} got {found}, expected {expected}")]
pub struct ShapeError {
    /// Path of the operation.
    pub at: String,
    /// The operation.
    pub op: String,
    /// The inputs it got.
    pub found: String,
    /// The inputs it takes.
    pub expected: String,
}

impl ShapeError {
    /// An error without its path, which the builder adds.
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
