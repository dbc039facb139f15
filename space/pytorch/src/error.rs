//! Why a graph has no PyTorch source.

/// A graph that cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PytorchError {
    /// The name cannot be a class of Python.
    #[error("{name:?}: a name of letters, digits and underscores that starts with a letter was expected")]
    Name {
        /// The name.
        name: String,
    },
    /// The operations below a path do not follow each other.
    #[error("{at}: its operations do not follow each other")]
    Scattered {
        /// Path of the module.
        at: String,
    },
    /// A module of which nothing is read.
    #[error("{at}: none of its values is read outside, expected at least 1")]
    NoOutput {
        /// Path of the module.
        at: String,
    },
    /// A class that contains itself.
    #[error("{class}: a class that contains itself")]
    Recursive {
        /// The class.
        class: String,
    },
    /// A network that waits for regions of the image between its two halves.
    #[error("{at}: it waits for regions of the image, expected a network that runs in one go")]
    Regions {
        /// Path of the operation that cuts them.
        at: String,
    },
    /// An operation on a value of a shape for which there is no form.
    #[error("{at}: no form of {op} for {found}")]
    Shape {
        /// Path of the operation.
        at: String,
        /// The operation.
        op: &'static str,
        /// Its input, without the batch.
        found: String,
    },
}
