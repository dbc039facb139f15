//! What makes two blocks the same work: the deployed operations of a block with all their sizes, and the value it is given.
//!
//! A block is timed as a network of its own, as it is deployed: batch norms that follow a convolution are folded into it,
//! an activation belongs to the block whose operations made its input, and dropping, which deployment does not have, is
//! gone. Names, the cuts of channels, first weights and rates of dropping change nothing about the work and are in no key.
//! No batch norm of any family is folded over the border of two blocks (a test holds it), so a network's deployed
//! operations are exactly those of its blocks.

use std::fmt::Write as _;

use smallvec::SmallVec;

use crate::ir::{Fnv, Graph, Groups, Layout, Node, Op, Range, fold_batch_norms};

/// The key of a block that stands as a graph of its own: `KIND.INPUT.OUTPUT.DIGEST`, sizes for one image, the digest of
/// the deployed operations in 16 hex digits. The same in every run, on every host.
pub fn key(alone: &Graph) -> String {
    let kind = alone.blocks.first().map_or("graph", |b| b.kind);
    let (input, output) = (alone.input(), &alone.nodes[alone.output].value);
    let mut digest = Fnv(0xcbf2_9ce4_8422_2325);
    deployed(alone).iter().for_each(|line| digest.eat(line.as_bytes()));
    format!("{kind}.{input}.{output}.{:016x}", digest.0)
}

/// The deployed operations of a graph, a line each: what it does, what it reads, what it makes.
pub fn deployed(graph: &Graph) -> Vec<String> {
    let folded = fold_batch_norms(graph).graph;
    // Where a node's value stands once what deployment leaves away is gone.
    let (mut place, mut lines) = (Vec::with_capacity(folded.nodes.len()), Vec::new());
    for node in &folded.nodes {
        if let (Op::Dropout { .. } | Op::DropPath { .. }, Some(x)) = (&node.op, node.inputs.first()) {
            place.push(place[*x as usize]);
            continue;
        }
        place.push(lines.len());
        let mut line = word(node);
        for x in &node.inputs {
            // Writing to a string cannot fail.
            let _ = write!(line, " {}", place[*x as usize]);
        }
        let _ = write!(line, " {}", node.value);
        lines.push(line);
    }
    lines
}

fn word(node: &Node) -> String {
    let layout = |l: &Layout| if *l == Layout::Map { "map" } else { "rows" };
    let name = node.op.name();
    match &node.op {
        Op::Conv { out: _, kernel, stride, pad, groups, bias } => {
            let groups = if *groups == Groups::Depthwise { "depthwise" } else { "dense" };
            format!("{name} {groups} k{kernel} s{stride} p{pad} b{}", u8::from(*bias))
        }
        Op::Linear { out: _, bias } => format!("{name} b{}", u8::from(*bias)),
        Op::Act(f) => format!("{name} {f:?}").to_lowercase(),
        Op::AvgPool { kernel, stride, pad } => format!("{name} k{kernel} s{stride} p{pad}"),
        Op::Resize { align_corners, .. } => format!("{name} a{}", u8::from(*align_corners)),
        Op::Unfold { patch, layout: l } | Op::Fold { patch, layout: l, .. } => format!("{name} {patch} {}", layout(l)),
        Op::Slice { start, len } => format!("{name} {start}+{len}"),
        Op::SliceHeads { heads, start, len } => format!("{name} {heads} {start}+{len}"),
        Op::Row { index } => format!("{name} {index}"),
        Op::InvSqrt { n } => format!("{name} {n}"),
        Op::Attention { heads, key_dim } => format!("{name} {heads}x{key_dim}"),
        Op::SplitHeads { heads, transposed } => format!("{name} {heads} t{}", u8::from(*transposed)),
        Op::BiasTable { heads: _, h, w, stride, index: _ } => format!("{name} {h}x{w} s{stride}"),
        Op::Input
        | Op::BatchNorm
        | Op::LayerNorm { .. }
        | Op::GroupNorm
        | Op::GlobalPool { .. }
        | Op::Flatten
        | Op::Concat
        | Op::ConcatRows
        | Op::Add
        | Op::Sub
        | Op::Mean
        | Op::Mul
        | Op::SumWidth
        | Op::Softmax
        | Op::MergeHeads { .. }
        | Op::MatMul
        | Op::ChannelScale { .. }
        | Op::Learnt { .. }
        | Op::Dropout { .. }
        | Op::DropPath { .. } => name.to_string(),
    }
}

/// Each block of a network as a graph of its own, with its own input.
pub fn blocks(graph: &Graph) -> Vec<Graph> {
    (0..graph.blocks.len()).map(|i| block(graph, i)).collect()
}

fn block(graph: &Graph, index: usize) -> Graph {
    let at = &graph.blocks[index];
    // A plan is a chain: what a block reads from before it is the value of the block before, or the image.
    let outside = |nodes: std::ops::Range<usize>, start: usize| {
        graph.nodes[nodes].iter().flat_map(|n| &n.inputs).map(|i| *i as usize).find(|i| *i < start)
    };
    let given = outside(at.start..at.end, at.start).unwrap_or(0);
    let output = match graph.blocks.get(index + 1) {
        Some(next) => outside(next.start..next.end, next.start).unwrap_or(at.end - 1),
        None => graph.output,
    };
    let moved = |i: usize| if i < at.start { 0 } else { i + 1 - at.start };
    let mut nodes = Vec::with_capacity(at.end - at.start + 1);
    nodes.push(Node { op: Op::Input, inputs: SmallVec::new(), ..graph.nodes[given].clone() });
    for node in &graph.nodes[at.start..at.end] {
        let mut node = node.clone();
        node.inputs.iter_mut().for_each(|i| *i = moved(*i as usize) as u32);
        nodes.push(node);
    }
    let own: Vec<usize> = graph.heads.iter().filter(|h| (at.start..at.end).contains(*h)).map(|h| moved(*h)).collect();
    let end = nodes.len();
    Graph {
        nodes,
        blocks: vec![Range { start: 1, end, ..at.clone() }],
        output: moved(output),
        heads: if own.is_empty() { vec![moved(output)] } else { own },
        style: graph.style,
    }
}
