//! Latency keys: equal for two blocks that do the same work when deployed, that is, the same operations on the same shapes.
//!
//! A block is timed as a network of its own, as it is deployed: batch norms are folded into convolutions and dropout is
//! removed. Names, channel sections, initial weights and dropout rates do not change the work and are not part of a key. A
//! test asserts that no family folds a batch norm across two blocks, so the deployed operations of a network are exactly
//! those of its blocks.

use smallvec::SmallVec;

use crate::fnv::LineDigest;
use crate::{BlockRange, Graph, Groups, LOGITS, Layout, Node, Op, OpKind, Output, fold_batch_norms};

/// The key of a block given as a graph of its own: `KIND.INPUT.OUTPUT.DIGEST`, with shapes for one image, those of several
/// inputs with `+` between them, and a digest of the deployed operations in 16 hex digits. The same in every run and on every host.
pub fn key(block: &Graph) -> String {
    let kind = block.blocks.first().map_or("graph", |b| b.kind);
    let inputs = block.inputs().map(ToString::to_string).collect::<Vec<_>>().join("+");
    let output = block.output_value();
    let mut digest = LineDigest::first();
    deployed(block).iter().for_each(|line| digest.line(line));
    format!("{kind}.{inputs}.{output}.{:016x}", digest.finish())
}

/// The deployed operations of a graph, one line each: what it does, the lines it reads, the shape of its result.
pub fn deployed(graph: &Graph) -> Vec<String> {
    let folded = fold_batch_norms(graph).graph;
    let input = |i: usize| folded.nodes[i].inputs.first().map(|x| *x as usize);
    let (graph, _) = folded.bypass(|i| input(i).filter(|_| folded.nodes[i].op.kind() == OpKind::Dropout));
    let line = |node: &Node| {
        let inputs: String = node.inputs.iter().map(|x| format!(" {x}")).collect();
        format!("{}{inputs} {}", describe(node), node.value)
    };
    graph.nodes.iter().map(line).collect()
}

fn describe(node: &Node) -> String {
    let layout = |l: &Layout| if *l == Layout::Map { "map" } else { "rows" };
    let name = node.op.name();
    match &node.op {
        Op::Conv { out: _, kernel, stride, pad, dilation, groups, bias } => {
            let groups = match groups {
                Groups::Dense => "dense",
                Groups::Depthwise => "depthwise",
                Groups::DepthwiseRow => "row",
                Groups::DepthwiseColumn => "column",
                Groups::Grouped(n) => &format!("g{n}"),
            };
            // Keys of tables that exist know no dilation.
            let apart = if *dilation == 1 { String::new() } else { format!(" d{dilation}") };
            format!("{name} {groups} k{kernel} s{stride} p{pad}{apart} b{}", u8::from(*bias))
        }
        // Nor do they know such norms without a shift.
        Op::LayerNorm { eps_e7: _, bias } | Op::GroupNorm { eps_e7: _, bias } => {
            format!("{name}{}", if *bias { "" } else { " b0" })
        }
        Op::Linear { out: _, bias } => format!("{name} b{}", u8::from(*bias)),
        Op::Act(f) => format!("{name} {f:?}").to_lowercase(),
        Op::AvgPool { kernel, stride, pad } | Op::MaxPool { kernel, stride, pad } => {
            format!("{name} k{kernel} s{stride} p{pad}")
        }
        Op::Shuffle { groups } => format!("{name} {groups}"),
        Op::SplitRows { parts } => format!("{name} {parts}"),
        Op::ConvTranspose { out: _, kernel, bias } => format!("{name} k{kernel} b{}", u8::from(*bias)),
        Op::Regions { count, side: _, stride } => format!("{name} {count} s{stride}"),
        Op::Resize { align_corners, .. } => format!("{name} a{}", u8::from(*align_corners)),
        Op::Unfold { patch, layout: l } | Op::Fold { patch, layout: l, .. } => format!("{name} {patch} {}", layout(l)),
        Op::Slice { start, len } => format!("{name} {start}+{len}"),
        Op::SliceHeads { heads, start, len } => format!("{name} {heads} {start}+{len}"),
        Op::Row { index } => format!("{name} {index}"),
        Op::Rows { start, len } => format!("{name} {start}+{len}"),
        Op::InvSqrt { n } => format!("{name} {n}"),
        Op::Attention { heads, key_dim } | Op::LinearAttention { heads, key_dim } => {
            format!("{name} {heads}x{key_dim}")
        }
        Op::SplitHeads { heads, transposed } => format!("{name} {heads} t{}", u8::from(*transposed)),
        Op::MergeHeads { transposed: true, .. } => format!("{name} t1"),
        Op::Offsets { h, w } => format!("{name} {h}x{w}"),
        Op::RelativeLogits { heads } => format!("{name} {heads}"),
        Op::BiasTable { heads: _, h, w, stride, index: _ } => format!("{name} {h}x{w} s{stride}"),
        #[rustfmt::skip]
        Op::Input | Op::BatchNorm | Op::GlobalPool { .. } | Op::Flatten | Op::Concat
        | Op::ConcatRows | Op::Add | Op::Sub | Op::Mean | Op::Mul | Op::SumWidth | Op::Softmax | Op::MergeHeads { .. }
        | Op::MatMul | Op::ChannelScale { .. } | Op::Learnt { .. } | Op::Dropout { .. } | Op::DropPath { .. }
        | Op::ResizeNearest { .. } | Op::L2Norm | Op::Fourier | Op::Windows { .. } | Op::Unwindow { .. }
        | Op::AdaptiveAvgPool { .. } | Op::Unflatten { .. } | Op::ResizeCubic { .. } | Op::Vector => name.to_string(),
    }
}

/// Each block of a network as a graph of its own, with its own input.
pub fn blocks(graph: &Graph) -> Vec<Graph> {
    (0..graph.blocks.len()).map(|i| block(graph, i)).collect()
}

fn block(graph: &Graph, index: usize) -> Graph {
    let at = &graph.blocks[index];
    let given = at.inputs.len();
    let moved =
        |i: usize| at.inputs.iter().position(|x| *x == i).unwrap_or_else(|| (i + given).saturating_sub(at.start));
    let input = |i: &usize| Node { op: Op::Input, inputs: SmallVec::new(), ..graph.nodes[*i].clone() };
    let mut nodes: Vec<Node> = at.inputs.iter().map(input).collect();
    for node in &graph.nodes[at.start..at.end] {
        let mut node = node.clone();
        node.inputs.iter_mut().for_each(|i| *i = moved(*i as usize) as u32);
        nodes.push(node);
    }
    let own: Vec<usize> = graph.heads.iter().filter(|h| (at.start..at.end).contains(*h)).map(|h| moved(*h)).collect();
    let (end, output) = (nodes.len(), moved(at.output));
    Graph {
        nodes,
        blocks: vec![BlockRange { start: given, end, inputs: (0..given).collect(), output, ..at.clone() }],
        outputs: vec![Output { name: LOGITS, node: output }],
        heads: if own.is_empty() { vec![output] } else { own },
        style: graph.style,
        bn_eps_e7: graph.bn_eps_e7,
        classes: graph.classes.clone(),
    }
}
