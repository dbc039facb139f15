//! Writes a network as an ONNX file: one reading of the graph, to bytes.
//!
//! Opset [`OPSET`]; input `images` `[B, C, H, W]`, outputs by the graph's names, such as `logits` `[B, classes]`; all are
//! float32. A detector's file may go on to its detections ([`Detections`]). Tensors keep their names
//! in checkpoints, with a suffix where the file stores them changed: `transposed`, `normed`, `pixel`, or a part `0..64`.
//! [`int8`] writes quantized files. [`file`] reads files of any origin.

mod affine;
mod attention;
mod classifiers;
mod detections;
mod error;
pub mod file;
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

use mobilenas_space::ir::Graph;
use prost::Message as _;

pub use detections::DETECTIONS;
pub use error::OnnxError;
pub use options::{Arrays, Batch, Detections, FLOAT32_WEIGHTS, INPUT, IR_VERSION, OPSET, OUTPUT, Options, input_name};

/// The model of a graph and its tensors. For the deployed form pass the folded graph and its tensors.
///
/// # Errors
/// When a tensor is missing, of another size, or not finite.
pub fn model(graph: &Graph, arrays: &Arrays, options: &Options) -> Result<proto::Model, OnnxError> {
    let (graph, float32) = lower::Lowering::new(graph, arrays, options).run()?;
    let mut about = options.about.clone();
    if !float32.is_empty() {
        about.insert(FLOAT32_WEIGHTS.to_string(), float32.join(" "));
    }
    Ok(with_metadata(graph, &about))
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
        functions: Vec::new(),
    }
}

/// The bytes of the ONNX file of a graph and its tensors.
///
/// # Errors
/// Those of [`model`].
pub fn write(graph: &Graph, arrays: &Arrays, options: &Options) -> Result<Vec<u8>, OnnxError> {
    Ok(model(graph, arrays, options)?.encode_to_vec())
}

/// Names of the weights that a float16 file of [`write`] keeps in float32, because float16 does not hold them.
///
/// # Errors
/// When the bytes are no model.
pub fn float32_weights(bytes: &[u8]) -> Result<Vec<String>, prost::DecodeError> {
    let entry = proto::read(bytes)?.metadata_props.into_iter().find(|e| e.key.as_deref() == Some(FLOAT32_WEIGHTS));
    Ok(entry.and_then(|e| e.value).iter().flat_map(|v| v.split(' ').map(str::to_string)).collect())
}
