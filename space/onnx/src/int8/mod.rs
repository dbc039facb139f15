//! Writes a network as an int8 ONNX file: weights in int8 with a scale per output channel, activations in uint8 with a scale
//! and a zero point per tensor, sums in int32.
//!
//! The float graph is written first. `roles.rs` says what quantization makes of each operator, `plan.rs` which values are
//! quantized, by the operators around them; families and blocks are not known here. [`Int8Exporter::calibration_model`] is a
//! float file that outputs those values beside the logits: [`Int8Exporter::write`] needs their ranges over real images.

mod observer;
mod plan;
mod quantize;
mod roles;
mod scales;
mod write;

use std::collections::BTreeMap;

use mobilenas_space::ir::Graph;
use prost::Message as _;

pub use observer::{CalibrationMethod, Observer};
pub use quantize::{QuantParams, ValueRange};

use super::lower::Lowering;
use super::proto::{self, kind};
use super::{Arrays, OnnxError, Options, with_metadata};
use plan::QuantPlan;
use roles::{OpRole, role};

/// Writes a network as an int8 file, once the ranges of its values are known.
#[derive(Clone, Debug)]
pub struct Int8Exporter {
    graph: proto::Graph,
    plan: QuantPlan,
    about: BTreeMap<String, String>,
}

impl Int8Exporter {
    /// Plans the file of a graph and its tensors, with batch norms folded.
    ///
    /// # Errors
    /// When a tensor is missing, of another size or not finite, or float16 weights are asked for.
    pub fn new(graph: &Graph, arrays: &Arrays, options: &Options) -> Result<Int8Exporter, OnnxError> {
        if options.float16 {
            return Err(OnnxError::TwoPrecisions);
        }
        let (graph, arrays) = scales::fold(graph, arrays)?;
        let (graph, _) = Lowering::new(&graph, &arrays, options).with_linear_as_gemm().run()?;
        let plan = QuantPlan::of(&graph);
        Ok(Int8Exporter { graph, plan, about: options.about.clone() })
    }

    /// The names of the values whose ranges are needed.
    pub fn calibrated_values(&self) -> impl Iterator<Item = &str> {
        self.plan.ranges().into_iter()
    }

    /// The number of layers in int8, and of all layers.
    pub fn layers(&self) -> [usize; 2] {
        let layer = |n: &proto::Node| matches!(role(n.op_type.as_deref().unwrap_or_default()), OpRole::Layer { .. });
        let all = || self.graph.node.iter().enumerate().filter(|(_, n)| layer(n));
        [all().filter(|(i, _)| self.plan.integer.contains(i)).count(), all().count()]
    }

    /// The float file that outputs every value of [`Int8Exporter::calibrated_values`] beside the logits.
    pub fn calibration_model(&self) -> Vec<u8> {
        let mut graph = self.graph.clone();
        // Inputs are seen as they are given, and an output is there already.
        let known = |v: &&str| !graph.input.iter().chain(&graph.output).any(|i| i.name.as_deref() == Some(*v));
        let output = |v: &str| {
            let tensor = proto::TensorType { elem_type: Some(kind::FLOAT), shape: None };
            proto::ValueInfo { name: Some(v.to_string()), kind: Some(tensor.into()) }
        };
        let more: Vec<_> = self.calibrated_values().filter(known).map(output).collect();
        graph.output.extend(more);
        with_metadata(graph, &self.about).encode_to_vec()
    }

    /// The int8 file's model, from the ranges of [`Int8Exporter::calibrated_values`].
    ///
    /// # Errors
    /// When a range is missing or not finite, or weights are not.
    pub fn model(&self, ranges: &BTreeMap<String, ValueRange>) -> Result<proto::Model, OnnxError> {
        Ok(with_metadata(write::write(&self.graph, &self.plan, ranges)?, &self.about))
    }

    /// The bytes of the int8 file.
    ///
    /// # Errors
    /// Those of [`Int8Exporter::model`].
    pub fn write(&self, ranges: &BTreeMap<String, ValueRange>) -> Result<Vec<u8>, OnnxError> {
        Ok(self.model(ranges)?.encode_to_vec())
    }
}
