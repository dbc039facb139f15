//! Nodes and tensors of an ONNX graph under construction, and their names.

use std::collections::{BTreeMap, BTreeSet};

use half::f16;

use super::OnnxError;
use super::proto::{Attribute, Dim, Graph, Node, Shape, Size, Tensor, TensorType, ValueInfo, kind};

/// An ONNX graph under construction.
#[derive(Debug, Default)]
pub struct Writer {
    nodes: Vec<Node>,
    tensors: Vec<Tensor>,
    known: BTreeSet<String>,
    counts: BTreeMap<String, u32>,
    scope: String,
    float16: bool,
    /// Names of the weights that stay in float32 though float16 was asked for.
    float32: Vec<String>,
    not_finite: Option<String>,
}

/// Whether float16 holds values: none beyond its largest number, and not all of them, zeros aside, below its
/// smallest normal one, where digits are lost.
fn fits_float16(values: &[f32]) -> bool {
    let largest = values.iter().fold(0f32, |m, v| m.max(v.abs()));
    f16::from_f32(largest).is_finite() && (largest == 0.0 || largest >= f16::MIN_POSITIVE.to_f32())
}

impl Writer {
    /// An empty graph, whose weights are stored in float16 or float32.
    pub fn new(float16: bool) -> Writer {
        Writer { float16, ..Writer::default() }
    }

    /// Sets the path after which further nodes are named.
    pub fn at(&mut self, scope: String) {
        self.scope = scope;
    }

    /// Appends a node with one output, and returns the output's name.
    pub fn node(&mut self, op: &str, inputs: &[&str], attributes: Vec<Attribute>) -> String {
        let base = format!("/{}/{op}", self.scope);
        let count = self.counts.entry(base.clone()).or_default();
        let name = if *count == 0 { base } else { format!("{base}_{count}") };
        *count += 1;
        self.named_node(name.clone(), op, inputs, attributes);
        name
    }

    /// Appends a node with two outputs, and returns their names.
    pub fn pair(&mut self, op: &str, inputs: &[&str], attributes: Vec<Attribute>) -> [String; 2] {
        let first = self.node(op, inputs, attributes);
        let second = format!("{first}.1");
        if let Some(node) = self.nodes.last_mut() {
            node.output.push(second.clone());
        }
        [first, second]
    }

    /// Appends a node whose output has a given name.
    pub fn named_node(&mut self, name: String, op: &str, inputs: &[&str], attributes: Vec<Attribute>) {
        self.nodes.push(Node {
            input: inputs.iter().map(|s| (*s).to_string()).collect(),
            output: vec![name.clone()],
            name: Some(name),
            op_type: Some(op.to_string()),
            attribute: attributes,
            domain: None,
        });
    }

    /// A vector of int64, such as a shape; equal ones are stored once.
    pub fn ints(&mut self, values: &[i64]) -> String {
        let words: Vec<String> = values.iter().map(i64::to_string).collect();
        let name = format!("ints.{}", words.join("_"));
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.tensor(name, kind::INT64, &[values.len() as i64], raw)
    }

    /// An int64 scalar.
    pub fn int(&mut self, value: i64) -> String {
        self.tensor(format!("int.{value}"), kind::INT64, &[], value.to_le_bytes().to_vec())
    }

    /// A float32 scalar.
    pub fn number(&mut self, value: f32) -> String {
        self.tensor(format!("number.{value}"), kind::FLOAT, &[], value.to_le_bytes().to_vec())
    }

    /// A float32 vector of one element.
    pub fn vector(&mut self, value: f32) -> String {
        self.tensor(format!("vector.{value}"), kind::FLOAT, &[1], value.to_le_bytes().to_vec())
    }

    /// A float32 tensor of one axis with these values.
    pub fn vectors(&mut self, values: &[f32]) -> String {
        let words: Vec<String> = values.iter().map(f32::to_string).collect();
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.tensor(format!("floats.{}", words.join("_")), kind::FLOAT, &[values.len() as i64], raw)
    }

    /// A tensor of weights, in float16 if that is asked for and holds them; returns the name of its float32 value.
    pub fn weights(&mut self, name: &str, dims: &[i64], values: &[f32]) -> String {
        if self.not_finite.is_none() && values.iter().any(|v| !v.is_finite()) {
            self.not_finite = Some(name.to_string());
        }
        let float32 = self.float16 && !fits_float16(values);
        if float32 && !self.known.contains(name) {
            self.float32.push(name.to_string());
        }
        if float32 || !self.float16 {
            let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            return self.tensor(name.to_string(), kind::FLOAT, dims, raw);
        }
        let cast = format!("{name}.float32");
        if self.known.insert(cast.clone()) {
            let raw = values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
            let half = self.tensor(name.to_string(), kind::FLOAT16, dims, raw);
            self.named_node(cast.clone(), "Cast", &[&half], vec![Attribute::int("to", i64::from(kind::FLOAT))]);
        }
        cast
    }

    /// Adds a tensor of any type, once for each name.
    pub fn tensor(&mut self, name: String, kind: i32, dims: &[i64], raw: Vec<u8>) -> String {
        if self.known.insert(name.clone()) {
            self.tensors.push(Tensor::raw(&name, kind, dims, raw));
        }
        name
    }

    /// The finished graph, and the names of the weights that stayed in float32 though float16 was asked for.
    ///
    /// # Errors
    /// When weights are not finite.
    pub fn finish(
        self,
        name: &str,
        input: Vec<ValueInfo>,
        output: Vec<ValueInfo>,
    ) -> Result<(Graph, Vec<String>), OnnxError> {
        if let Some(name) = self.not_finite {
            return Err(OnnxError::NotFinite { name });
        }
        let (node, initializer, name) = (self.nodes, self.tensors, Some(name.to_string()));
        let graph = Graph { node, name, initializer, input, output, ..Graph::default() };
        Ok((graph, self.float32))
    }

    /// Renames the output of the last node, which nothing may read yet.
    pub fn rename_last(&mut self, name: &str) {
        if let Some(node) = self.nodes.last_mut() {
            node.output = vec![name.to_string()];
        }
    }
}

/// The description of an input or output of the graph; the axis `first`, most often the batch, comes before `dims`.
pub fn value_info(name: &str, elements: i32, first: Size, dims: &[u32]) -> ValueInfo {
    let rest = dims.iter().map(|d| Size::Value(i64::from(*d)));
    let dim = std::iter::once(first).chain(rest).map(|size| Dim { size: Some(size) }).collect();
    let tensor = TensorType { elem_type: Some(elements), shape: Some(Shape { dim }) };
    ValueInfo { name: Some(name.to_string()), kind: Some(tensor.into()) }
}
