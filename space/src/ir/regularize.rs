//! The graph as a recipe trains it: dropout and dropped branches, which the architecture says nothing of.

use super::{Graph, Node, Op};

/// What training drops.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Regularize {
    /// Share of elements dropped from what a transformer layer adds to its input: branches that end in a linear layer.
    pub dropout: f64,
    /// Share of elements dropped before the classifiers.
    pub head_dropout: f64,
    /// Share of images whose last residual branch is dropped, rising linearly from 0 at the first; those of the graph
    /// stay if left out.
    pub drop_path: Option<f64>,
}

impl Regularize {
    /// Nothing is dropped.
    pub const NONE: Regularize = Regularize { dropout: 0.0, head_dropout: 0.0, drop_path: Some(0.0) };
}

fn permille(share: f64) -> u32 {
    (share * 1000.0).round() as u32
}

/// Whether a node is reached from another by going back along inputs.
fn leads_to(graph: &Graph, from: usize, to: usize) -> bool {
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

/// The branch of a residual sum, if a node is one: its second input, when that follows from the first.
fn branch(graph: &Graph, i: usize) -> Option<usize> {
    let node = &graph.nodes[i];
    let (x, y) = (*node.inputs.first()? as usize, *node.inputs.get(1)? as usize);
    (node.op == Op::Add && leads_to(graph, y, x)).then_some(y)
}

/// A graph that drops what a recipe says. Tensors and their names stay; the blocks' ranges are those of the new nodes.
pub fn regularize(graph: &Graph, how: &Regularize) -> Graph {
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
            nodes.push(Node { op, inputs: [from].into_iter().collect(), path, shared, value });
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
    // What stands before a node belongs to its block: a block ends where its last node does.
    let mut blocks = graph.blocks.clone();
    for b in &mut blocks {
        let end = |old: usize| old.checked_sub(1).map_or(0, |last| at[last] + 1);
        (b.start, b.end) = (end(b.start), end(b.end));
    }
    let heads = graph.heads.iter().map(|h| at[*h]).collect();
    Graph { blocks, output: at[graph.output], heads, style: graph.style, nodes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families;

    fn graph(name: &str) -> Graph {
        let (family, info) = families::variant(name).unwrap();
        let template = family.template(name).unwrap();
        template.plan(&template.values(), info.resolution, 10).unwrap().lower().unwrap()
    }

    fn drops(graph: &Graph) -> (usize, Vec<u32>) {
        let out = graph.nodes.iter().filter(|n| matches!(n.op, Op::Dropout { .. })).count();
        let path = |n: &Node| if let Op::DropPath { permille } = n.op { Some(permille) } else { None };
        (out, graph.nodes.iter().filter_map(path).collect())
    }

    #[test]
    fn a_transformer_drops_after_both_of_its_branches_and_before_the_head() {
        // Nine layers with two branches each, and one head.
        let how = Regularize { dropout: 0.1, head_dropout: 0.1, drop_path: None };
        assert_eq!(drops(&regularize(&graph("mobilevit_s"), &how)), (19, vec![]));
        // No layer, one head.
        assert_eq!(drops(&regularize(&graph("mobilenetv2_100"), &how)).0, 1);
        // Two heads; its layers scale what they add, and that is no linear layer.
        assert_eq!(drops(&regularize(&graph("efficientformer_l1"), &how)).0, 2);
    }

    #[test]
    fn dropped_branches_rise_linearly_or_go() {
        let l = graph("efficientformerv2_l");
        let published = drops(&l).1;
        assert!(published.len() > 30);
        assert_eq!(drops(&regularize(&l, &Regularize::default())).1, published);
        assert!(drops(&regularize(&l, &Regularize::NONE)).1.is_empty());
        let ours =
            drops(&regularize(&graph("mobilenetv2_100"), &Regularize { drop_path: Some(0.2), ..Regularize::NONE })).1;
        // Ten residual blocks; the first is never dropped.
        assert_eq!((ours.len(), ours[0], ours.last()), (9, 22, Some(&200)));
        assert!(ours.is_sorted());
    }

    #[test]
    fn tensors_blocks_and_sizes_stay() {
        let how = Regularize { dropout: 0.1, head_dropout: 0.2, drop_path: Some(0.1) };
        for name in
            ["mobilevit_xxs", "mobilevitv3_050", "efficientformer_l1", "efficientformerv2_s2", "deit_tiny_patch16_224"]
        {
            let (plain, dropping) = (graph(name), regularize(&graph(name), &how));
            assert_eq!(plain.params(), dropping.params(), "{name}");
            assert_eq!(plain.blocks.len(), dropping.blocks.len());
            let ends = |g: &Graph| g.blocks.iter().map(|b| g.nodes[b.end - 1].value.clone()).collect::<Vec<_>>();
            assert_eq!(ends(&plain), ends(&dropping), "{name}");
            assert_eq!(dropping.blocks.last().unwrap().end, dropping.nodes.len());
            for (i, n) in dropping.nodes.iter().enumerate() {
                assert!(n.inputs.iter().all(|j| (*j as usize) < i), "{name}");
            }
        }
    }
}
