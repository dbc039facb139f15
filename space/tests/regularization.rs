//! What training drops, read from the published networks.

use mobilenas_space::families;
use mobilenas_space::ir::{Graph, Node, Op, Regularization, regularize};

fn graph(name: &str) -> Graph {
    families::plan(name, None, 10).unwrap().lower().unwrap()
}

fn drops(graph: &Graph) -> (usize, Vec<u32>) {
    let out = graph.nodes.iter().filter(|n| matches!(n.op, Op::Dropout { .. })).count();
    let path = |n: &Node| if let Op::DropPath { permille } = n.op { Some(permille) } else { None };
    (out, graph.nodes.iter().filter_map(path).collect())
}

#[test]
fn a_transformer_drops_after_both_of_its_branches_and_before_the_head() {
    // Nine layers with two branches each, and one head.
    let how = Regularization { dropout: 0.1, head_dropout: 0.1, drop_path: None };
    assert_eq!(drops(&regularize(&graph("mobilevit_s"), &how)), (19, vec![]));
    // No layer, one head.
    assert_eq!(drops(&regularize(&graph("mobilenetv2_100"), &how)).0, 1);
    // Two heads; its residual branches end in a layer scale, not in a linear layer.
    assert_eq!(drops(&regularize(&graph("efficientformer_l1"), &how)).0, 2);
}

#[test]
fn dropped_branches_rise_linearly_or_go() {
    let l = graph("efficientformerv2_l");
    let published = drops(&l).1;
    assert!(published.len() > 30);
    assert_eq!(drops(&regularize(&l, &Regularization::default())).1, published);
    assert!(drops(&regularize(&l, &Regularization::NONE)).1.is_empty());
    let ours =
        drops(&regularize(&graph("mobilenetv2_100"), &Regularization { drop_path: Some(0.2), ..Regularization::NONE }))
            .1;
    // Ten residual blocks; the first is never dropped.
    assert_eq!((ours.len(), ours[0], ours.last()), (9, 22, Some(&200)));
    assert!(ours.is_sorted());
}

#[test]
fn tensors_blocks_and_sizes_stay() {
    let how = Regularization { dropout: 0.1, head_dropout: 0.2, drop_path: Some(0.1) };
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
