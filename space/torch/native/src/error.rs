//! Why a call of libtorch failed.

use std::ffi::NulError;

/// An error of a call.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NativeError {
    /// libtorch's message.
    #[error("{0}")]
    Torch(String),
    /// A name or a path with a zero byte.
    #[error("{0}, expected a text without zero bytes")]
    Text(#[from] NulError),
    /// More arguments than a call takes.
    #[error("{found} arguments, expected at most {most}")]
    Arguments {
        /// Arguments given.
        found: usize,
        /// Arguments that a call takes.
        most: usize,
    },
}
