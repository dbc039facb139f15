//! The int8 graph: the float graph with a pair of `QuantizeLinear` and `DequantizeLinear` after each quantized value, and with
//! the weights of its layers as integers before a `DequantizeLinear`.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{QuantPlan, made};
use super::quantize::{Channels, QuantParams, ValueRange, layer};
use super::roles::{OpRole, role};
use crate::OnnxError;
use crate::proto::{Attribute, Graph, Node, Tensor, kind};

/// Rewrites a graph.
///
/// # Errors
/// When a range is missing or not finite, or weights are not.
pub fn write(graph: &Graph, plan: &QuantPlan, ranges: &BTreeMap<String, ValueRange>) -> Result<Graph, OnnxError> {
    let mut params = BTreeMap::new();
    for value in plan.ranges() {
        let found = ranges.get(value).copied().unwrap_or(ValueRange { low: f32::NAN, high: f32::NAN });
        let no = || OnnxError::Range { name: value.to_string(), low: found.low, high: found.high };
        params.insert(value, found.quant_params().ok_or_else(no)?);
    }
    let floats = graph.initializer.iter().map(|t| (t.name.as_deref().unwrap_or_default(), t)).collect();
    let mut rewriting =
        Rewriting { plan, params, floats, nodes: Vec::new(), tensors: Vec::new(), known: BTreeSet::new() };
    for input in graph.input.iter().filter_map(|v| v.name.as_deref()) {
        rewriting.pair(input);
    }
    for (i, node) in graph.node.iter().enumerate() {
        rewriting.node(i, node)?;
    }
    Ok(rewriting.finish(graph))
}

/// A graph while it is rewritten.
struct Rewriting<'g> {
    plan: &'g QuantPlan,
    /// By the value whose range they cover.
    params: BTreeMap<&'g str, QuantParams>,
    /// The tensors of the float graph.
    floats: BTreeMap<&'g str, &'g Tensor>,
    nodes: Vec<Node>,
    tensors: Vec<Tensor>,
    known: BTreeSet<String>,
}

/// The name of a value after quantization and dequantization.
fn dequantized(value: &str) -> String {
    format!("{value}.rounded")
}

impl<'g> Rewriting<'g> {
    fn node(&mut self, index: usize, node: &Node) -> Result<(), OnnxError> {
        let mut node = node.clone();
        let reads: Vec<bool> = node.input.iter().map(|v| self.plan.reads_quantized(index, v)).collect();
        if let OpRole::Layer { axis, .. } = role(node.op_type.as_deref().unwrap_or_default())
            && self.plan.integer.contains(&index)
        {
            self.layer(&mut node, axis)?;
        }
        for (input, _) in node.input.iter_mut().zip(&reads).filter(|(_, quantized)| **quantized) {
            *input = dequantized(input);
        }
        let out = made(&node).to_string();
        self.nodes.push(node);
        self.pair(&out);
        Ok(())
    }

    /// The pair after a quantized value.
    fn pair(&mut self, value: &str) {
        let Some((root, params)) = self.params_of(value) else { return };
        let scale = self.tensor(format!("{root}.scale"), kind::FLOAT, &[], params.scale.to_le_bytes().to_vec());
        let zero = self.tensor(format!("{root}.zero"), kind::UINT8, &[], vec![params.zero_point]);
        let quantized = format!("{value}.whole");
        self.push("QuantizeLinear", [value, &scale, &zero].map(str::to_string).to_vec(), &quantized, vec![]);
        self.push("DequantizeLinear", vec![quantized.clone(), scale, zero], &dequantized(value), vec![]);
    }

    fn params_of(&self, value: &str) -> Option<(&'g str, QuantParams)> {
        let root = self.plan.quantized.get(value)?.as_str();
        self.params.get(root).map(|a| (root, *a))
    }

    /// Quantizes a layer's weights and biases.
    fn layer(&mut self, node: &mut Node, axis: usize) -> Result<(), OnnxError> {
        let at = made(node).to_string();
        let missing = |index| OnnxError::Input { at: at.clone(), index };
        let x = node.input.first().and_then(|v| self.params_of(v)).ok_or_else(|| missing(0))?.1.scale;
        let name = node.input.get(1).cloned().ok_or_else(|| missing(1))?;
        let tensor = self.floats.get(name.as_str()).copied().ok_or_else(|| missing(1))?;
        let bias = node.input.get(2).and_then(|b| self.floats.get(b.as_str())).map(|t| floats(t));
        let channels = tensor.dims.get(axis).map_or(1, |n| *n as usize);
        let how = if axis == 0 { Channels::First(channels) } else { Channels::Last(channels) };
        let no = || OnnxError::NotFinite { name: name.clone() };
        let quantized = layer(&floats(tensor), bias.as_deref(), how, x).ok_or_else(no)?;
        let base = self.fresh(&name);
        let scales = self.vector(format!("{base}.scale"), &quantized.scales);
        let zero = self.tensor(format!("{base}.zero"), kind::INT8, &[channels as i64], vec![0; channels]);
        let bytes = quantized.weights.iter().map(|w| w.to_le_bytes()[0]).collect();
        let weights = self.tensor(format!("{base}.int8"), kind::INT8, &tensor.dims, bytes);
        let along = |axis: usize| vec![Attribute::int("axis", axis as i64)];
        node.input[1] = dequantized(&base);
        self.push("DequantizeLinear", vec![weights, scales, zero], &node.input[1], along(axis));
        if let (Some(bias), Some(input)) = (quantized.bias, node.input.get_mut(2)) {
            let base = self.fresh(input);
            let steps: Vec<f32> = quantized.scales.iter().map(|s| x * s).collect();
            let steps = self.vector(format!("{base}.scale"), &steps);
            let bytes = bias.iter().flat_map(|b| b.to_le_bytes()).collect();
            let bias = self.tensor(format!("{base}.int32"), kind::INT32, &[channels as i64], bytes);
            *input = dequantized(&base);
            self.push("DequantizeLinear", vec![bias, steps], input, along(0));
        }
        Ok(())
    }

    /// A tensor's name, with a number if another layer shares the tensor.
    fn fresh(&mut self, name: &str) -> String {
        let numbered = |n: usize| if n == 0 { name.to_string() } else { format!("{name}_{n}") };
        let free = (0..).map(numbered).find(|n| !self.known.contains(&dequantized(n))).unwrap_or_default();
        self.known.insert(dequantized(&free));
        free
    }

    fn push(&mut self, op: &str, input: Vec<String>, output: &str, attribute: Vec<Attribute>) {
        let (name, op) = (Some(format!("{output}/{op}")), Some(op.to_string()));
        self.nodes.push(Node { input, output: vec![output.to_string()], name, op_type: op, attribute, domain: None });
    }

    fn vector(&mut self, name: String, values: &[f32]) -> String {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.tensor(name, kind::FLOAT, &[values.len() as i64], raw)
    }

    /// Adds a tensor, once for each name.
    fn tensor(&mut self, name: String, kind: i32, dims: &[i64], raw: Vec<u8>) -> String {
        if self.known.insert(name.clone()) {
            self.tensors.push(Tensor::raw(&name, kind, dims, raw));
        }
        name
    }

    /// The finished graph; tensors of the float graph that nothing reads any more are dropped.
    fn finish(self, graph: &Graph) -> Graph {
        let read: BTreeSet<&str> = self.nodes.iter().flat_map(|n| &n.input).map(String::as_str).collect();
        let kept = graph.initializer.iter().filter(|t| t.name.as_deref().is_some_and(|n| read.contains(n)));
        let initializer = kept.cloned().chain(self.tensors).collect();
        let (input, output) = (graph.input.clone(), graph.output.clone());
        Graph { node: self.nodes, name: graph.name.clone(), initializer, input, output, ..Graph::default() }
    }
}

/// The elements of a float tensor.
fn floats(tensor: &Tensor) -> Vec<f32> {
    let raw = tensor.raw_data.as_deref().unwrap_or_default();
    raw.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}
