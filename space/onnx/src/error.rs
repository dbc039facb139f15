//! Why a graph cannot be written as ONNX.

/// A graph that cannot be written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OnnxError {
    /// A tensor is missing or has another size.
    #[error("{name}: {found} elements, expected {expected}")]
    Array {
        /// The tensor.
        name: String,
        /// Elements found; 0 if it is missing.
        found: usize,
        /// Elements of its shape.
        expected: usize,
    },
    /// An operation has too few inputs.
    #[error("{at}: input {index} is missing")]
    Input {
        /// Path of the operation.
        at: String,
        /// The input, counted from 0.
        index: usize,
    },
    /// An operation does not own the tensors that its kind has.
    #[error("{at}: its tensors are not those of its operation")]
    Tensors {
        /// Path of the operation.
        at: String,
    },
    /// The input of an operation has another rank than the operation needs.
    #[error("{at}: found an input or output of {found}, expected {expected}")]
    Shape {
        /// Path of the operation.
        at: String,
        /// Its shape, without the batch.
        found: String,
        /// What the operation needs.
        expected: &'static str,
    },
    /// The calibrated range of a value is unknown or not finite.
    #[error("range of {name}: {low} to {high}, expected finite numbers from calibration images")]
    Range {
        /// The value.
        name: String,
        /// The lower end.
        low: f32,
        /// The upper end.
        high: f32,
    },
    /// Weights or biases are not finite; folding batch norms may have made them so.
    #[error("{name}: weights or biases that are not finite, expected finite ones")]
    NotFinite {
        /// Name of the weights.
        name: String,
    },
    /// Detections were asked for, and the network is no detector for one image with these anchors.
    #[error("found {found}, expected a detector's boxes and scores of one image")]
    NoDetector {
        /// What there is.
        found: String,
    },
    /// Regions that a detector names between the network's outputs.
    #[error("{at}: found a network that waits for regions, expected one of its parts")]
    Regions {
        /// Path of the operation.
        at: String,
    },
    /// Both int8 and float16 weights were asked for.
    #[error("found float16 weights for an int8 file, expected float32")]
    TwoPrecisions,
}
