//! How much memory a network needs to run on one image: its weights, and the most elements that are alive at one time.
//!
//! Counted on the deployed graph (batch norms folded), operation by operation in the graph's order. An operation's value is
//! alive from then on until the last operation that reads it is done; the network's output stays. An operation that treats
//! each element alone works in place where nothing later reads its input. Nothing else shares memory: views are counted as
//! copies, and what an operation needs inside itself (such as the logits of an attention in one operation) is not counted.
//! An engine that reorders, tiles or fuses more needs less; one that keeps buffers for speed needs more.

use crate::ir::{Folded, Graph, Op, Role, fold_batch_norms};

/// Elements that a network needs for one image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Elements of all weights, folded, with the statistics of norms that do not fold.
    pub weights: u64,
    /// The most elements of values that are alive at one time.
    pub activations: u64,
}

impl Memory {
    /// Bytes in single precision.
    pub fn bytes(self) -> u64 {
        4 * (self.weights + self.activations)
    }
}

/// What a network needs when it runs alone on one image.
pub fn memory(graph: &Graph) -> Memory {
    let Folded { graph, .. } = fold_batch_norms(graph);
    let held = |role: Role| !matches!(role, Role::Counter | Role::Index);
    let weights = graph.params().iter().filter(|p| held(p.role)).map(crate::ir::ParamSpec::elements).sum();
    Memory { weights, activations: peak(&graph) }
}

/// The most elements alive at one time while the graph runs in its order.
fn peak(graph: &Graph) -> u64 {
    let mut last = vec![0usize; graph.nodes.len()];
    for (i, node) in graph.nodes.iter().enumerate() {
        node.inputs.iter().for_each(|x| last[*x as usize] = i);
    }
    last[graph.output] = graph.nodes.len();
    let (mut alive, mut peak) = (0u64, 0u64);
    for (i, node) in graph.nodes.iter().enumerate() {
        let size = node.value.elements();
        let takes_over = in_place(&node.op)
            && node.inputs.iter().any(|x| {
                let x = *x as usize;
                last[x] == i && x != 0 && graph.nodes[x].value.elements() == size
            });
        peak = peak.max(alive + if takes_over { 0 } else { size });
        alive += size;
        let mut ended: Vec<usize> = node.inputs.iter().map(|x| *x as usize).filter(|x| last[*x] == i).collect();
        ended.sort_unstable();
        ended.dedup();
        alive -= ended.into_iter().map(|x| graph.nodes[x].value.elements()).sum::<u64>();
        // What nobody reads is gone at once.
        if last[i] == 0 && i > 0 {
            alive -= size;
        }
    }
    peak
}

/// Whether an operation treats each element alone, so that it may write where it reads.
fn in_place(op: &Op) -> bool {
    match op {
        Op::BatchNorm
        | Op::Act(_)
        | Op::Add
        | Op::Sub
        | Op::Mean
        | Op::Mul
        | Op::InvSqrt { .. }
        | Op::ChannelScale { .. }
        | Op::Dropout { .. }
        | Op::DropPath { .. } => true,
        Op::Input
        | Op::Conv { .. }
        | Op::LayerNorm { .. }
        | Op::GroupNorm
        | Op::Linear { .. }
        | Op::AvgPool { .. }
        | Op::GlobalPool { .. }
        | Op::Resize { .. }
        | Op::Unfold { .. }
        | Op::Fold { .. }
        | Op::Flatten
        | Op::Slice { .. }
        | Op::SliceHeads { .. }
        | Op::Concat
        | Op::ConcatRows
        | Op::Row { .. }
        | Op::SumWidth
        | Op::Softmax
        | Op::Attention { .. }
        | Op::SplitHeads { .. }
        | Op::MergeHeads { .. }
        | Op::MatMul
        | Op::BiasTable { .. }
        | Op::Learnt { .. } => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::families;
    use crate::ir::{ActFn, Builder, InitStyle, Sections, Value};

    /// 2 channels of 4 x 4, 32 elements.
    fn begin() -> (Builder, crate::ir::Val) {
        Builder::new(Value::map(Sections::plain(2), 4, 4), InitStyle::Mobile)
    }

    fn done(b: Builder, out: crate::ir::Val) -> Memory {
        memory(&b.finish(out))
    }

    #[test]
    fn a_chain_holds_two_neighbours() {
        let (mut b, x) = begin();
        let wide = b.conv("a", x, 8, 1, 1, false).unwrap();
        let wide = b.act(ActFn::Relu, wide).unwrap();
        let out = b.conv("b", wide, 4, 1, 2, false).unwrap();
        // 32 + 128, then 128 in place, then 128 + 16; weights 2*8 + 8*4.
        assert_eq!(done(b, out), Memory { weights: 48, activations: 160 });
    }

    #[test]
    fn a_branch_is_held_until_the_sum() {
        let (mut b, x) = begin();
        let a = b.conv("a", x, 8, 1, 1, false).unwrap();
        let c = b.conv("b", a, 2, 1, 1, false).unwrap();
        let out = b.add(x, c).unwrap();
        // x and the wide value and the narrow one: 32 + 128 + 32; the sum takes the place of the narrow one.
        assert_eq!(done(b, out), Memory { weights: 32, activations: 192 });
    }

    #[test]
    fn a_function_of_what_is_still_read_needs_its_own_place() {
        let (mut b, x) = begin();
        let a = b.conv("a", x, 8, 1, 1, false).unwrap();
        let gate = b.act(ActFn::Sigmoid, a).unwrap();
        let out = b.op(Op::Mul, &[a, gate]).unwrap();
        // a and its gate: 128 + 128.
        assert_eq!(done(b, out), Memory { weights: 16, activations: 256 });
    }

    #[test]
    fn a_value_read_twice_at_once_ends_once() {
        let (mut b, x) = begin();
        let a = b.conv("a", x, 2, 1, 1, false).unwrap();
        let twice = b.add(a, a).unwrap();
        let out = b.conv("b", twice, 2, 1, 1, false).unwrap();
        assert_eq!(done(b, out), Memory { weights: 8, activations: 64 });
    }

    #[test]
    fn batch_norms_are_folded_first() {
        let (mut b, x) = begin();
        let a = b.conv("a", x, 8, 1, 1, false).unwrap();
        let out = b.bn("bn", a).unwrap();
        // The convolution gets a bias: 16 + 8.
        assert_eq!(done(b, out), Memory { weights: 24, activations: 160 });
    }

    /// MobileNetV2 at 224 px: the widest moment is its second block's depthwise convolution with stride 2, from 96 x 112 x
    /// 112 to 96 x 56 x 56. Its deployed weights are the published ones less one factor for each normed channel.
    #[test]
    fn mobilenet_v2_by_hand() {
        let (family, _) = families::variant("mobilenetv2_100").unwrap();
        let template = family.template("mobilenetv2_100").unwrap();
        let graph = template.plan(&template.values(), 224, 1000).unwrap().lower().unwrap();
        let normed: u64 =
            graph.nodes.iter().filter(|n| n.op == Op::BatchNorm).map(|n| u64::from(n.value.channels())).sum();
        let found = memory(&graph);
        assert_eq!(found.activations, 96 * 112 * 112 + 96 * 56 * 56);
        assert_eq!(found.weights, 3_504_872 - normed);
        assert_eq!(found.bytes(), 4 * (found.weights + 1_505_280));
    }

    /// Never below the largest operation with what it reads, never above all values together.
    #[test]
    fn every_published_network_is_between_its_bounds() {
        for v in families::FAMILIES.iter().flat_map(|f| f.variants()) {
            let (family, _) = families::variant(v.id).unwrap();
            let template = family.template(v.id).unwrap();
            let graph = template.plan(&template.values(), v.resolution, 1000).unwrap().lower().unwrap();
            let all: u64 = graph.nodes.iter().map(|n| n.value.elements()).sum();
            let least = graph.nodes.iter().filter(|n| matches!(n.op, Op::Conv { .. }));
            let least = least.map(|n| n.value.elements() + graph.nodes[n.inputs[0] as usize].value.elements()).max();
            let peak = memory(&graph).activations;
            assert!(least.unwrap() <= peak && peak < all, "{}: {peak}", v.id);
        }
    }
}
