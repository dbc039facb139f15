//! The deployed graph: each batch norm that follows a convolution is folded into it.

use std::collections::BTreeMap;

use super::{Graph, Op};

/// A graph with batch norms folded, and where they went.
#[derive(Clone, Debug)]
pub struct Folded {
    /// The deployed graph; a convolution with a batch norm folded in has a bias.
    pub graph: Graph,
    /// A convolution of the deployed graph to the convolution and the batch norm of the original.
    pub folded_from: BTreeMap<usize, (usize, usize)>,
}

/// Folds every batch norm whose input is a convolution that nothing else reads.
pub fn fold_batch_norms(graph: &Graph) -> Folded {
    let readers = graph.readers();
    let conv_of = |i: usize| {
        let from = *graph.nodes[i].inputs.first()? as usize;
        let folds = graph.nodes[i].op == Op::BatchNorm
            && matches!(graph.nodes[from].op, Op::Conv { .. })
            && readers[from].len() == 1
            && !graph.heads.contains(&from);
        folds.then_some(from)
    };
    let (mut folded, at) = graph.bypass(conv_of);
    let pair = |norm: usize| conv_of(norm).map(|conv| (at[conv], (conv, norm)));
    let folded_from: BTreeMap<_, _> = (0..graph.nodes.len()).filter_map(pair).collect();
    for place in folded_from.keys() {
        if let Op::Conv { bias, .. } = &mut folded.nodes[*place].op {
            *bias = true;
        }
    }
    Folded { graph: folded, folded_from }
}
