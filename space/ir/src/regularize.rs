//! The graph as a recipe trains it: with dropout and stochastic depth, which are not part of the architecture.

use super::{Graph, Node, Op};

/// Dropout and stochastic depth of a training recipe.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Regularization {
    /// Dropout rate at the end of the residual branches of transformer layers, that is, of branches that end in a linear layer.
    pub dropout: f64,
    /// Dropout rate before the classifiers.
    pub head_dropout: f64,
    /// Stochastic depth: the drop rate of the last residual branch, rising linearly from 0 at the first. `None` keeps the
    /// graph's own rates.
    pub drop_path: Option<f64>,
}

impl Regularization {
    /// Neither.
    pub const NONE: Regularization = Regularization { dropout: 0.0, head_dropout: 0.0, drop_path: Some(0.0) };
}

fn permille(share: f64) -> u32 {
    (share * 1000.0).round() as u32
}

/// Whether the value of node `from` depends on node `to`.
fn depends_on(graph: &Graph, from: usize, to: usize) -> bool {
    let mut open = vec![from];
    let mut seen = vec![false; from + 1];
    while let Some(i) = open.pop() {
        if i == to {
            return true;
        }
        let before = graph.nodes[i].inputs.iter().map(|j| *j as usize).filter(|j| *j >= to);
        for j in before {
            if !std::mem::replace(&mut seen[j], true) {
                open.push(j);
            }
        }
    }
    false
}

/// The branch of a residual sum, if a node is one: its second input, if that depends on the first, or on what the first is
/// the scale of.
fn branch(graph: &Graph, i: usize) -> Option<usize> {
    let node = &graph.nodes[i];
    let (mut x, y) = (*node.inputs.first()? as usize, *node.inputs.get(1)? as usize);
    if let (Op::ChannelScale { .. }, [from]) = (&graph.nodes[x].op, &graph.nodes[x].inputs[..]) {
        x = *from as usize;
    }
    (node.op == Op::Add && depends_on(graph, y, x)).then_some(y)
}

/// The graph with a recipe's dropout and stochastic depth. Tensors and their names stay.
pub fn regularize(graph: &Graph, how: &Regularization) -> Graph {
    let branches: Vec<Option<usize>> = (0..graph.nodes.len()).map(|i| branch(graph, i)).collect();
    let residuals = branches.iter().flatten().count();
    let (mut nodes, mut at, mut index): (Vec<Node>, Vec<usize>, usize) = (Vec::new(), Vec::new(), 0);
    for (i, node) in graph.nodes.iter().enumerate() {
        let replaced = matches!(node.op, Op::DropPath { .. }) && how.drop_path.is_some();
        if replaced {
            at.push(at[node.inputs[0] as usize]);
            continue;
        }
        let mut new = node.clone();
        for input in &mut new.inputs {
            *input = at[*input as usize] as u32;
        }
        let mut drop = |slot: usize, op: Op, new: &mut Node| {
            let from = new.inputs[slot];
            let value = nodes[from as usize].value.clone();
            let (path, shared) = (new.path.clone(), new.shared.clone());
            nodes.push(Node {
                op,
                inputs: [from].into_iter().collect(),
                path,
                shared,
                value,
                style: new.style,
                tied: false,
            });
            new.inputs[slot] = nodes.len() as u32 - 1;
        };
        if graph.heads.contains(&i) && how.head_dropout > 0.0 {
            drop(0, Op::Dropout { permille: permille(how.head_dropout) }, &mut new);
        }
        if let Some(y) = branches[i] {
            if how.dropout > 0.0 && matches!(graph.nodes[y].op, Op::Linear { .. }) {
                drop(1, Op::Dropout { permille: permille(how.dropout) }, &mut new);
            }
            let rate = how.drop_path.unwrap_or(0.0) * index as f64 / residuals.saturating_sub(1).max(1) as f64;
            if permille(rate) > 0 {
                drop(1, Op::DropPath { permille: permille(rate) }, &mut new);
            }
            index += 1;
        }
        nodes.push(new);
        at.push(nodes.len() - 1);
    }
    // A node that was inserted before another belongs to that node's block.
    let mut new = graph.moved(nodes, |old| at.get(old).copied().unwrap_or_default());
    for (b, old) in new.blocks.iter_mut().zip(&graph.blocks) {
        let end = |old: usize| old.checked_sub(1).map_or(0, |last| at[last] + 1);
        (b.start, b.end) = (end(old.start), end(old.end));
    }
    new
}
