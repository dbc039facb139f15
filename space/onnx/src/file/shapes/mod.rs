//! Sizes of every value of a graph, worked out node by node from the sizes of the inputs.
//!
//! Small vectors of numbers are computed too: exporters write sizes as operators (`Shape`, `Gather`, `Concat`, `Reshape`).

pub(super) mod arithmetic;
mod known;
mod movement;
mod reshape;
mod window;

use std::collections::BTreeMap;

use super::Input;
use super::nodes::qualified;
use crate::proto::{Dim, Graph, Node, Size, ValueInfo};
pub(super) use known::{Known, Op};
use known::{LARGEST_ATTRIBUTE, of_tensor};

/// What is known of all values of a graph.
pub(super) struct Shapes<'a> {
    known: BTreeMap<&'a str, Known>,
}

impl<'a> Shapes<'a> {
    /// Works out what can be worked out.
    pub(super) fn of(graph: &'a Graph, inputs: &'a [Input], opset: i64) -> Shapes<'a> {
        let mut known: BTreeMap<&str, Known> = BTreeMap::new();
        known.extend(inputs.iter().map(|i| (i.name.as_str(), Known::sized(i.dims.clone()))));
        known.extend(graph.initializer.iter().filter_map(|t| Some((t.name.as_deref()?, of_tensor(t)))));
        let mut told: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        told.extend(graph.value_info.iter().chain(&graph.output).filter_map(|v| Some((v.name.as_deref()?, fixed(v)?))));
        for node in &graph.node {
            let inputs = node.input.iter().map(|n| known.get(n.as_str())).collect();
            let found = infer(&Op { node, inputs, opset }).unwrap_or_default();
            let mut found = found.into_iter();
            for name in node.output.iter().filter(|n| !n.is_empty()) {
                let told = || told.get(name.as_str()).cloned().map(Known::sized);
                if let Some(value) = found.next().filter(Known::sound).or_else(told) {
                    known.insert(name, value);
                }
            }
        }
        Shapes { known }
    }

    /// A node with what is known of its inputs.
    pub(super) fn op<'b>(&'b self, node: &'b Node, opset: i64) -> Op<'b> {
        Op { node, inputs: node.input.iter().map(|n| self.known.get(n.as_str())).collect(), opset }
    }

    /// What is known of a node's first output.
    pub(super) fn output(&self, node: &Node) -> Option<&Known> {
        self.known.get(node.output.first()?.as_str())
    }
}

/// The sizes of a value that the file tells, where all are numbers.
fn fixed(value: &ValueInfo) -> Option<Vec<i64>> {
    let size = |d: &Dim| match d.size {
        Some(Size::Value(n)) if n >= 0 => Some(n),
        Some(Size::Value(_) | Size::Param(_)) | None => None,
    };
    value.kind.as_ref()?.tensor_type.as_ref()?.shape.as_ref()?.dim.iter().map(size).collect()
}

/// What is known of a node's outputs, in order; `None` where nothing follows.
fn infer(op: &Op) -> Option<Vec<Known>> {
    let name = qualified(op.node);
    // ONNX Runtime's own operators on quantized tensors follow those that they stand for.
    let name = name.strip_prefix("com.microsoft.").unwrap_or(&name);
    let large = |v: &i64| v.unsigned_abs() > LARGEST_ATTRIBUTE.unsigned_abs();
    if name != "Slice" && op.node.attribute.iter().any(|a| a.i.iter().chain(&a.ints).any(large)) {
        return None;
    }
    arithmetic::infer(name, op)
        .or_else(|| reshape::infer(name, op))
        .or_else(|| movement::infer(name, op))
        .or_else(|| window::infer(name, op))
}
