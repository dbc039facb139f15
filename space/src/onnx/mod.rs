//! A network as an ONNX file: one reading of the graph, to bytes.
//!
//! Opset [`OPSET`]; input `images` `[B, C, H, W]`, output `logits` `[B, classes]`, both float32. Tensors keep the names
//! that checkpoints give them, with a word added where the file holds them changed: `transposed`, `normed`, `pixel`, or a part `0..64`.
//! [`int8`] makes files whose layers work on whole numbers.

mod attend;
pub mod int8;
mod lower;
mod norm;
pub mod proto;
mod resize;
mod writer;

use std::collections::BTreeMap;

use prost::Message as _;

use crate::ir::Graph;

/// The version of ONNX's set of operators: the first with exact Gelu as one operator.
pub const OPSET: i64 = 20;
/// The version of the file format that goes with it.
pub const IR_VERSION: i64 = 9;
/// Name of the input.
pub const INPUT: &str = "images";
/// Name of the output.
pub const OUTPUT: &str = "logits";

/// Images in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// Always so many.
    Fixed(u32),
    /// Any number; the axis is called `batch`.
    Dynamic,
}

/// What the file is like.
#[derive(Clone, Debug)]
pub struct Options {
    /// Images in a batch.
    pub batch: Batch,
    /// Weights are stored in half precision, and cast to float32 when the file is loaded; all arithmetic is in float32.
    pub float16: bool,
    /// What the file says of itself.
    pub about: BTreeMap<String, String>,
}

impl Default for Options {
    fn default() -> Options {
        Options { batch: Batch::Fixed(1), float16: false, about: BTreeMap::new() }
    }
}

/// A graph that cannot be written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OnnxError {
    /// A tensor is not there, or of another size.
    #[error("{name}: {found} elements, expected {expected}")]
    Array {
        /// Its name.
        name: String,
        /// Elements that are there.
        found: usize,
        /// Elements of its shape.
        expected: usize,
    },
    /// An operation has too few inputs.
    #[error("{at}: input {index} is missing, expected it")]
    Input {
        /// Path of the operation.
        at: String,
        /// Which one, from 0.
        index: usize,
    },
    /// The range of a value that should become whole numbers is not known.
    #[error("range of {name}: {low} to {high}, expected finite numbers, from images")]
    Range {
        /// Its name.
        name: String,
        /// The lower end.
        low: f32,
        /// The upper end.
        high: f32,
    },
    /// Weights that should become whole numbers are no numbers.
    #[error("{name}: weights or biases that are not finite, expected finite ones")]
    NotFinite {
        /// Name of the weights.
        name: String,
    },
    /// Weights should be stored in int8 and in half precision.
    #[error("found weights in half precision for an int8 file, expected single precision")]
    TwoPrecisions,
}

/// The floating tensors of a network by name, row-major.
pub type Arrays = BTreeMap<String, Vec<f32>>;

/// The model of a graph and its tensors. For the deployed form give the folded graph and its tensors.
///
/// # Errors
/// When a tensor is missing or of another size.
pub fn model(graph: &Graph, arrays: &Arrays, options: &Options) -> Result<proto::Model, OnnxError> {
    Ok(packed(lower::Lower::new(graph, arrays, options).run()?, &options.about))
}

/// A graph and what its file says of itself.
fn packed(graph: proto::Graph, about: &BTreeMap<String, String>) -> proto::Model {
    let entry = |(k, v): (&String, &String)| proto::Entry { key: Some(k.clone()), value: Some(v.clone()) };
    proto::Model {
        ir_version: Some(IR_VERSION),
        producer_name: Some("mobilenas".to_string()),
        producer_version: Some(env!("CARGO_PKG_VERSION").to_string()),
        graph: Some(graph),
        opset_import: vec![proto::OpsetId { domain: Some(String::new()), version: Some(OPSET) }],
        metadata_props: about.iter().map(entry).collect(),
    }
}

/// The bytes of the ONNX file of a graph and its tensors.
///
/// # Errors
/// Those of [`model`].
pub fn write(graph: &Graph, arrays: &Arrays, options: &Options) -> Result<Vec<u8>, OnnxError> {
    Ok(model(graph, arrays, options)?.encode_to_vec())
}
