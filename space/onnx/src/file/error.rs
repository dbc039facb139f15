//! Why a file of anybody's cannot be used.

/// A file that cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ReadError {
    /// The bytes are a model without a graph, or no model.
    #[error("found no graph with outputs, expected an ONNX model")]
    NoGraph,
    /// The bytes end early, or are of another format.
    #[error("found no ONNX model ({message}), expected one")]
    Format {
        /// What the reader says.
        message: String,
    },
    /// An operator of a domain that runtimes do not have.
    #[error("node {at:?}: found the custom operator {domain}.{op}, expected operators of ONNX or ONNX Runtime")]
    Custom {
        /// Name of the node.
        at: String,
        /// The operator.
        op: String,
        /// Its domain.
        domain: String,
    },
    /// A tensor's values are not those of its shape.
    #[error("tensor {name}: found {found}, expected {expected}")]
    Tensor {
        /// The tensor.
        name: String,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// A file of weights beside the model is not there, or too short.
    #[error("tensor {name}: its values stand in {file}: {message}, expected that file beside the model")]
    Outside {
        /// The tensor.
        name: String,
        /// The file, as the model names it.
        file: String,
        /// What went wrong.
        message: String,
    },
    /// An input's size is not known, or not as the file says.
    #[error("input {name}: found {found}, expected {expected}")]
    Input {
        /// The input.
        name: String,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// A size was given for something that the file does not have.
    #[error("found a size for {what} {name}, expected {what} {expected}")]
    Unknown {
        /// `input` or `axis`.
        what: &'static str,
        /// The name.
        name: String,
        /// The names that there are.
        expected: String,
    },
}
