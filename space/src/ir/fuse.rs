//! The graph as it is deployed: each batch norm that follows a convolution is folded into it.

use std::collections::BTreeMap;

use super::{Graph, Op};

/// A graph without the batch norms that fold, and where they went.
#[derive(Clone, Debug)]
pub struct Folded {
    /// The deployed graph; a convolution that took a batch norm in has a bias.
    pub graph: Graph,
    /// Node of the folded graph to the nodes of the original it was: convolution and batch norm.
    pub took: BTreeMap<usize, (usize, usize)>,
}

/// Folds every batch norm whose only input is a convolution that nothing else reads.
pub fn fold_batch_norms(graph: &Graph) -> Folded {
    let mut readers = vec![0usize; graph.nodes.len()];
    for i in graph.nodes.iter().flat_map(|n| &n.inputs) {
        readers[*i as usize] += 1;
    }
    let conv_of = |i: usize| {
        let from = *graph.nodes[i].inputs.first()? as usize;
        let folds = graph.nodes[i].op == Op::BatchNorm
            && matches!(graph.nodes[from].op, Op::Conv { .. })
            && readers[from] == 1
            && !graph.heads.contains(&from);
        folds.then_some(from)
    };
    let (mut nodes, mut at, mut took) = (Vec::new(), Vec::with_capacity(graph.nodes.len()), BTreeMap::new());
    for (i, node) in graph.nodes.iter().enumerate() {
        if let Some(conv) = conv_of(i) {
            // The convolution's place now holds what the norm made.
            at.push(at[conv]);
            took.insert(at[conv], (conv, i));
            continue;
        }
        let mut node = node.clone();
        for input in &mut node.inputs {
            *input = at[*input as usize] as u32;
        }
        at.push(nodes.len());
        nodes.push(node);
    }
    for place in took.keys() {
        if let Op::Conv { bias, .. } = &mut nodes[*place].op {
            *bias = true;
        }
    }
    let end = |old: usize| at.get(old).copied().unwrap_or(nodes.len());
    let mut blocks = graph.blocks.clone();
    for b in &mut blocks {
        (b.start, b.end) = (end(b.start), end(b.end));
    }
    let folded = Graph {
        blocks,
        output: at[graph.output],
        heads: graph.heads.iter().map(|h| at[*h]).collect(),
        style: graph.style,
        nodes,
    };
    Folded { graph: folded, took }
}
