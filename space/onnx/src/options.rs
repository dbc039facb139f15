//! What a written ONNX file looks like.

use std::collections::BTreeMap;

/// The version of ONNX's operator set: the first with exact Gelu as one operator.
pub const OPSET: i64 = 20;
/// The version of the file format that goes with it.
pub const IR_VERSION: i64 = 9;
/// Name of the input.
pub const INPUT: &str = "images";
/// Name of a classifier's output.
pub const OUTPUT: &str = mobilenas_space::ir::LOGITS;
/// Key of the metadata that names the weights which stay in float32 in a float16 file.
pub const FLOAT32_WEIGHTS: &str = "float32_weights";

/// The size of the batch axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// A fixed size.
    Fixed(u32),
    /// Any size; the axis is named `batch`.
    Dynamic,
}

/// How a file is written.
#[derive(Clone, Debug)]
pub struct Options {
    /// The size of the batch axis.
    pub batch: Batch,
    /// Stores weights in float16 and casts them to float32 when the file is loaded; all arithmetic stays in float32.
    /// Tensors that float16 does not hold stay in float32; the metadata names them under [`FLOAT32_WEIGHTS`].
    pub float16: bool,
    /// Metadata of the file.
    pub about: BTreeMap<String, String>,
}

impl Default for Options {
    fn default() -> Options {
        Options { batch: Batch::Fixed(1), float16: false, about: BTreeMap::new() }
    }
}

/// The floating-point tensors of a network by name, row-major.
pub type Arrays = BTreeMap<String, Vec<f32>>;
