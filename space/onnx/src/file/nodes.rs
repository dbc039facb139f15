//! Nodes of a graph, and what is said of values.

use crate::proto::{Graph, Node, Size, Type, ValueInfo, kind};

pub(super) fn domain_of(node: &Node) -> &str {
    node.domain.as_deref().unwrap_or_default()
}

/// `Conv`, or `com.microsoft.FusedConv`.
pub(super) fn qualified(node: &Node) -> String {
    let op = node.op_type.as_deref().unwrap_or_default();
    match domain_of(node) {
        "" | "ai.onnx" => op.to_string(),
        domain => format!("{domain}.{op}"),
    }
}

/// Calls `see` for every node, those of graphs within nodes after the node.
pub(super) fn each_node<'a>(graph: &'a Graph, see: &mut dyn FnMut(&'a Node)) {
    for node in &graph.node {
        see(node);
        node.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs)).for_each(|inner| each_node(inner, see));
    }
}

/// `images: float32[batch, 3, 224, 224]`.
pub(super) fn described(value: &ValueInfo) -> String {
    let name = value.name.as_deref().unwrap_or_default();
    format!("{name}: {}", value.kind.as_ref().map_or_else(|| "unknown".to_string(), type_in_words))
}

pub(super) fn type_in_words(of: &Type) -> String {
    let Some(tensor) = &of.tensor_type else {
        let other = [("a sequence", &of.sequence_type), ("a map", &of.map_type), ("an optional", &of.optional_type)];
        return other.into_iter().find(|(_, t)| t.is_some()).map_or("unknown", |(word, _)| word).to_string();
    };
    let kind = kind::name(tensor.elem_type.unwrap_or_default());
    let Some(shape) = &tensor.shape else { return format!("{kind}[...]") };
    let dims: Vec<String> = shape.dim.iter().map(|d| dim_in_words(d.size.as_ref())).collect();
    format!("{kind}[{}]", dims.join(", "))
}

pub(super) fn dim_in_words(size: Option<&Size>) -> String {
    match size {
        Some(Size::Value(n)) if *n >= 0 => n.to_string(),
        Some(Size::Param(name)) if !name.is_empty() => name.clone(),
        Some(Size::Value(_) | Size::Param(_)) | None => "?".to_string(),
    }
}
