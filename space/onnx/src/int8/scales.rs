//! Folds channel scales into the layers before them: a scale between two layers would force floats between them, and the
//! weights of a channel have a quantization scale anyway.

use mobilenas_space::ir::{Graph, Op};

use crate::{Arrays, OnnxError};

/// The graph and its tensors, with each channel scale folded that follows a convolution or linear layer nothing else reads.
///
/// # Errors
/// When a tensor is missing or has another size.
pub fn fold(graph: &Graph, arrays: &Arrays) -> Result<(Graph, Arrays), OnnxError> {
    let readers = graph.readers();
    let layer_of = |i: usize| {
        let from = *graph.nodes[i].inputs.first()? as usize;
        let layer = matches!(graph.nodes[from].op, Op::Conv { .. } | Op::Linear { .. });
        let scaled = matches!(graph.nodes[i].op, Op::ChannelScale { .. });
        (scaled && layer && readers[from].len() == 1 && !graph.heads.contains(&from)).then_some(from)
    };
    let mut arrays = arrays.clone();
    for (i, layer) in (0..graph.nodes.len()).filter_map(|i| layer_of(i).map(|layer| (i, layer))) {
        scale(graph, (layer, i), &mut arrays)?;
    }
    Ok((graph.bypass(layer_of).0, arrays))
}

/// Multiplies a layer's tensors, whose first axis is the output channels, by a channel scale.
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
