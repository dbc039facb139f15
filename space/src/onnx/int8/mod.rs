//! A network as an int8 ONNX file: weights in int8 with a scale for each output channel, what lies between layers in uint8
//! with a scale and a zero point for each tensor, sums in int32.
//!
//! The float graph is written first. `table.rs` says what each operator is, `plan.rs` which of its values become whole
//! numbers by the operators around them, so no family and no block is known here. [`Int8::probe`] is a float file that gives
//! those values beside the logits: their ranges over real images are what [`Int8::write`] needs.

mod numbers;
mod plan;
mod scales;
mod seen;
mod table;
mod write;

use std::collections::BTreeMap;

use prost::Message as _;

pub use numbers::{Affine, Range};
pub use seen::{Rule, Seen};

use super::lower::Lower;
use super::proto::{self, kind};
use super::{Arrays, OnnxError, Options, packed};
use crate::ir::Graph;
use plan::Plan;
use table::{Role, role};

/// A network on its way to an int8 file.
#[derive(Clone, Debug)]
pub struct Int8 {
    graph: proto::Graph,
    plan: Plan,
    about: BTreeMap<String, String>,
}

impl Int8 {
    /// Plans the file of a graph and its tensors; give the folded ones, since a batch norm is no layer.
    ///
    /// # Errors
    /// When a tensor is missing or of another size, or weights are to be stored in half precision.
    pub fn new(graph: &Graph, arrays: &Arrays, options: &Options) -> Result<Int8, OnnxError> {
        if options.float16 {
            return Err(OnnxError::TwoPrecisions);
        }
        let (graph, arrays) = scales::fold(graph, arrays)?;
        let graph = Lower::new(&graph, &arrays, options).with_rows_as_matrices().run()?;
        let plan = Plan::of(&graph);
        Ok(Int8 { graph, plan, about: options.about.clone() })
    }

    /// The values whose ranges are needed, by name.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.plan.ranges().into_iter()
    }

    /// Layers in int8, and layers in all.
    pub fn layers(&self) -> [usize; 2] {
        let layer = |n: &proto::Node| matches!(role(n.op_type.as_deref().unwrap_or_default()), Role::Layer { .. });
        let all = || self.graph.node.iter().enumerate().filter(|(_, n)| layer(n));
        [all().filter(|(i, _)| self.plan.integer.contains(i)).count(), all().count()]
    }

    /// The float file, which gives every value of [`Int8::values`] beside the logits.
    pub fn probe(&self) -> Vec<u8> {
        let mut graph = self.graph.clone();
        let known = |v: &&str| !graph.input.iter().any(|i| i.name.as_deref() == Some(*v));
        let output = |v: &str| {
            let tensor = proto::TensorType { elem_type: Some(kind::FLOAT), shape: None };
            proto::ValueInfo { name: Some(v.to_string()), kind: Some(proto::Type { tensor_type: Some(tensor) }) }
        };
        let more: Vec<_> = self.values().filter(known).map(output).collect();
        graph.output.extend(more);
        packed(graph, &self.about).encode_to_vec()
    }

    /// The int8 file's model, from the ranges of [`Int8::values`].
    ///
    /// # Errors
    /// When a range is missing or not finite, or weights are not.
    pub fn model(&self, ranges: &BTreeMap<String, Range>) -> Result<proto::Model, OnnxError> {
        Ok(packed(write::write(&self.graph, &self.plan, ranges)?, &self.about))
    }

    /// The bytes of the int8 file.
    ///
    /// # Errors
    /// Those of [`Int8::model`].
    pub fn write(&self, ranges: &BTreeMap<String, Range>) -> Result<Vec<u8>, OnnxError> {
        Ok(self.model(ranges)?.encode_to_vec())
    }
}
