//! The memory that a network needs for one image: its weights, and the peak of its activations.
//!
//! Counted on the deployed graph (batch norms folded), in the order of its operations. A value is alive until its last reader
//! has run; outputs stay. An elementwise operation works in place if nothing else reads its input later. Nothing else
//! shares memory: views count as copies, and temporaries inside an operation (such as the logits of a fused attention) do not
//! count. An engine that reorders, tiles or fuses needs less; one that keeps buffers for speed needs more.

use crate::{Folded, Graph, Op, OpKind, ParamSpec, Role, fold_batch_norms};

/// Memory for one image, in elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Weights with batch norms folded, and the statistics of norms that do not fold.
    pub weights: u64,
    /// The peak of the values that are alive at the same time.
    pub activations: u64,
}

impl Memory {
    /// Bytes in float32.
    pub fn bytes(self) -> u64 {
        4 * (self.weights + self.activations)
    }
}

/// The memory of a network for one image.
pub fn memory(graph: &Graph) -> Memory {
    let Folded { graph, .. } = fold_batch_norms(graph);
    let held = |role: Role| !matches!(role, Role::Counter | Role::Index);
    let weights = graph.params().iter().filter(|p| held(p.role)).map(ParamSpec::elements).sum();
    Memory { weights, activations: peak(&graph) }
}

/// The peak of elements that are alive while the graph runs in order.
fn peak(graph: &Graph) -> u64 {
    let mut last = vec![0usize; graph.nodes.len()];
    for (i, node) in graph.nodes.iter().enumerate() {
        node.inputs.iter().for_each(|x| last[*x as usize] = i);
    }
    graph.outputs.iter().for_each(|o| last[o.node] = graph.nodes.len());
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
        // A value without readers is freed at once.
        if last[i] == 0 && i > 0 {
            alive -= size;
        }
    }
    peak
}

/// Whether an operation computes each element from the same element alone, so that it may overwrite its input.
fn in_place(op: &Op) -> bool {
    match op.kind() {
        OpKind::Elementwise | OpKind::Dropout => true,
        // Its statistics are constants once it is deployed.
        OpKind::Norm => *op == Op::BatchNorm,
        OpKind::Input
        | OpKind::Contraction(_)
        | OpKind::Reduction
        | OpKind::Pool
        | OpKind::Movement
        | OpKind::Parameter => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{ActFn, Builder, InitStyle, Sections, Value};

    /// 2 channels of 4 x 4, 32 elements.
    fn begin() -> (Builder, crate::Val) {
        Builder::new(Value::map(Sections::plain(2), 4, 4), InitStyle::Mobile)
    }

    fn done(b: Builder, out: crate::Val) -> Memory {
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
}
