//! Learnt factors of channels, taken into the layers before them: a factor between two layers would keep whole numbers from
//! passing, and a channel's weights have a scale of their own anyway.

use super::super::{Arrays, OnnxError};
use crate::ir::{Graph, Op};

/// The graph without the factors whose only input is a convolution or a linear layer that nothing else reads, and its
/// tensors.
///
/// # Errors
/// When a tensor is missing or of another size.
pub fn fold(graph: &Graph, arrays: &Arrays) -> Result<(Graph, Arrays), OnnxError> {
    let mut readers = vec![0usize; graph.nodes.len()];
    for i in graph.nodes.iter().flat_map(|n| &n.inputs) {
        readers[*i as usize] += 1;
    }
    let layer_of = |i: usize| {
        let from = *graph.nodes[i].inputs.first()? as usize;
        let layer = matches!(graph.nodes[from].op, Op::Conv { .. } | Op::Linear { .. });
        let scaled = matches!(graph.nodes[i].op, Op::ChannelScale { .. });
        (scaled && layer && readers[from] == 1 && !graph.heads.contains(&from)).then_some(from)
    };
    let (mut nodes, mut at, mut arrays) = (Vec::new(), Vec::with_capacity(graph.nodes.len()), arrays.clone());
    for (i, node) in graph.nodes.iter().enumerate() {
        if let Some(layer) = layer_of(i) {
            at.push(at[layer]);
            scale(graph, (layer, i), &mut arrays)?;
            continue;
        }
        let mut node = node.clone();
        for input in &mut node.inputs {
            *input = at[*input as usize] as u32;
        }
        at.push(nodes.len());
        nodes.push(node);
    }
    let end = |old: usize| at.get(old).copied().unwrap_or(nodes.len());
    let mut blocks = graph.blocks.clone();
    for b in &mut blocks {
        (b.start, b.end) = (end(b.start), end(b.end));
    }
    let (output, heads) = (at[graph.output], graph.heads.iter().map(|h| at[*h]).collect());
    Ok((Graph { nodes, blocks, output, heads, style: graph.style }, arrays))
}

/// Multiplies a layer's tensors, which have the output channels first, by the factors of what reads it.
fn scale(graph: &Graph, (layer, factor): (usize, usize), arrays: &mut Arrays) -> Result<(), OnnxError> {
    let wrong = |name: &str, found, expected| OnnxError::Array { name: name.to_string(), found, expected };
    let channels = graph.nodes[factor].value.channels() as usize;
    let gamma = graph.node_params(factor).into_iter().next().map(|p| p.name).unwrap_or_default();
    let factors = arrays.get(&gamma).cloned().unwrap_or_default();
    if factors.len() != channels {
        return Err(wrong(&gamma, factors.len(), channels));
    }
    for spec in graph.node_params(layer) {
        let (found, expected) = (arrays.get_mut(&spec.name), spec.elements() as usize);
        let values = found.filter(|v| v.len() == expected).ok_or_else(|| wrong(&spec.name, 0, expected))?;
        for (row, factor) in values.chunks_mut((expected / channels.max(1)).max(1)).zip(&factors) {
            row.iter_mut().for_each(|v| *v *= factor);
        }
    }
    Ok(())
}
