//! Multiply-accumulates of one run of a file, by the sizes of what it multiplies.

use super::Input;
use super::nodes::{each_node, qualified};
use super::shapes::{Known, Op, Shapes, arithmetic};
use crate::proto::{Model, Node};

/// What a file multiplies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Macs {
    /// Multiply-accumulates of convolutions, matrix products, attention and recurrent layers.
    pub total: u64,
    /// Nodes of such operators whose sizes are not known, and of operators that may hold others: `Conv /a/b`.
    pub unknown: Vec<String>,
}

/// Counts for inputs of these sizes.
pub fn macs(model: &Model, inputs: &[Input]) -> Macs {
    let Some(graph) = &model.graph else { return Macs::default() };
    let standard = |d: &Option<String>| matches!(d.as_deref().unwrap_or_default(), "" | "ai.onnx");
    let opset = model.opset_import.iter().find(|o| standard(&o.domain)).and_then(|o| o.version).unwrap_or(1);
    let shapes = Shapes::of(graph, inputs, opset);
    let mut all = Macs::default();
    for node in &graph.node {
        let name = qualified(node);
        let name = name.strip_prefix("com.microsoft.").unwrap_or(&name);
        match multiplies(name, node, model, 0) {
            Multiplies::Nothing => {}
            Multiplies::Unknown => all.unknown.push(told(node)),
            Multiplies::Known => match of(name, &shapes.op(node, opset), shapes.output(node)) {
                Some(macs) => all.total = all.total.saturating_add(macs),
                None => all.unknown.push(told(node)),
            },
        }
    }
    all
}

fn told(node: &Node) -> String {
    let name = node.name.as_deref().filter(|n| !n.is_empty());
    let name = name.or(node.output.first().map(String::as_str)).unwrap_or_default();
    format!("{} {name}", qualified(node))
}

/// What is known about an operator.
enum Multiplies {
    Nothing,
    Known,
    Unknown,
}

/// Functions and graphs nested deeper than this are not looked into.
const DEEPEST: usize = 8;

fn multiplies(name: &str, node: &Node, model: &Model, depth: usize) -> Multiplies {
    if depth > DEEPEST {
        return Multiplies::Unknown;
    }
    match name {
        "Conv"
        | "FusedConv"
        | "ConvInteger"
        | "QLinearConv"
        | "ConvTranspose"
        | "MatMul"
        | "FusedMatMul"
        | "MatMulInteger"
        | "QLinearMatMul"
        | "DynamicQuantizeMatMul"
        | "MatMulIntegerToFloat"
        | "Gemm"
        | "FusedGemm"
        | "QGemm"
        | "Einsum"
        | "LSTM"
        | "GRU"
        | "RNN" => Multiplies::Known,
        "Attention" | "MultiHeadAttention" | "GroupQueryAttention" | "QAttention" | "DeformConv" | "MatMulNBits" => {
            Multiplies::Unknown
        }
        // Their graphs may run any number of times.
        "If" | "Loop" | "Scan" => {
            let mut inside = false;
            node.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs)).for_each(|graph| {
                each_node(graph, &mut |n| {
                    let name = n.op_type.as_deref().unwrap_or_default();
                    inside |= !matches!(multiplies(name, n, model, depth + 1), Multiplies::Nothing);
                });
            });
            if inside { Multiplies::Unknown } else { Multiplies::Nothing }
        }
        _ => {
            let own = |f: &&crate::proto::Function| f.name == node.op_type && f.domain == node.domain;
            let defined = model.functions.iter().find(own);
            let inside = |n: &Node| {
                let name = n.op_type.as_deref().unwrap_or_default();
                !matches!(multiplies(name, n, model, depth + 1), Multiplies::Nothing)
            };
            if defined.is_some_and(|f| f.node.iter().any(inside)) { Multiplies::Unknown } else { Multiplies::Nothing }
        }
    }
}

/// The elements of an axis.
fn size(dims: &[i64], at: usize) -> Option<u64> {
    u64::try_from(*dims.get(at)?).ok()
}

fn of(name: &str, op: &Op, output: Option<&Known>) -> Option<u64> {
    let [first, second] = match name {
        "Conv" | "FusedConv" | "ConvInteger" => [output?.elements(), per_channel(op.input(1)?)?],
        "QLinearConv" => [output?.elements(), per_channel(op.input(3)?)?],
        // Each element of the input meets its channel's weights.
        "ConvTranspose" => [op.input(0)?.elements(), per_channel(op.input(1)?)?],
        "MatMul"
        | "MatMulInteger"
        | "QLinearMatMul"
        | "DynamicQuantizeMatMul"
        | "MatMulIntegerToFloat"
        | "FusedMatMul" => {
            let dims = op.dims(0)?;
            let back = if op.int("transA", 0) == 0 { 1 } else { 2 };
            [output?.elements(), size(dims, dims.len().checked_sub(back)?)?]
        }
        "Gemm" | "FusedGemm" | "QGemm" => {
            [output?.elements(), size(op.dims(0)?, usize::from(op.int("transA", 0) == 0))?]
        }
        "Einsum" => {
            let (operands, _) = arithmetic::labels(op.text("equation")?)?;
            let sizes = arithmetic::label_sizes(op, &operands)?;
            let all = sizes.values().map(|s| s.unsigned_abs()).fold(1, u64::saturating_mul);
            [all, u64::from(operands.len() > 1)]
        }
        // Every step multiplies with the weights of all gates and directions.
        "LSTM" | "GRU" | "RNN" => {
            let dims = op.dims(0)?;
            [size(dims, 0)? * size(dims, 1)?, op.input(1)?.elements() + op.input(2)?.elements()]
        }
        _ => return None,
    };
    first.checked_mul(second)
}

/// The weights of one channel of the first axis.
fn per_channel(weights: &Known) -> Option<u64> {
    weights.elements().checked_div(size(&weights.dims, 0)?)
}
