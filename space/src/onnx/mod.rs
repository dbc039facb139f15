//! Writes a network as an ONNX file: one reading of the graph, to bytes.
//!
//! Opset [`OPSET`]; input `images` `[B, C, H, W]`, output `logits` `[B, classes]`, both float32. Tensors keep their names
//! in checkpoints, with a suffix where the file stores them changed: `transposed`, `normed`, `pixel`, or a part `0..64`.
//! [`int8`] writes quantized files.

mod attention;
mod error;
pub mod int8;
mod layers;
mod linear;
mod lower;
mod movement;
mod norm;
mod options;
pub mod proto;
mod resize;
mod writer;

use std::collections::BTreeMap;

use prost::Message as _;

pub use error::OnnxError;
pub use options::{Arrays, Batch, INPUT, IR_VERSION, OPSET, OUTPUT, Options};

use crate::ir::Graph;

/// The model of a graph and its tensors. For the deployed form pass the folded graph and its tensors.
///
/// # Errors
/// When a tensor is missing or has another size.
pub fn model(graph: &Graph, arrays: &Arrays, options: &Options) -> Result<proto::Model, OnnxError> {
    Ok(with_metadata(lower::Lowering::new(graph, arrays, options).run()?, &options.about))
}

/// The model of an ONNX graph, with the file's metadata.
fn with_metadata(graph: proto::Graph, about: &BTreeMap<String, String>) -> proto::Model {
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
