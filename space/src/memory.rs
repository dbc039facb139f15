//! What a network takes in memory: weights, and activations that live at one time.

use crate::ir::{Graph, Op};

/// Bytes of one number in single precision.
const SINGLE: u64 = 4;

/// Bytes of all tensors of a graph in single precision; index tables and counters are none of the deployed network's.
pub fn weight_bytes(graph: &Graph) -> u64 {
    let floats = |p: &crate::ir::ParamSpec| !matches!(p.role, crate::ir::Role::Counter | crate::ir::Role::Index);
    SINGLE * graph.params().iter().filter(|p| floats(p)).map(crate::ir::ParamSpec::elements).sum::<u64>()
}

/// The most bytes of values that live at one time for one image in single precision, when each value is let go after its
/// last reader and every operation writes to memory of its own.
pub fn activation_bytes(graph: &Graph) -> u64 {
    let mut last = vec![0usize; graph.nodes.len()];
    for (i, node) in graph.nodes.iter().enumerate() {
        for input in &node.inputs {
            last[*input as usize] = i;
        }
    }
    for kept in graph.heads.iter().chain([&graph.output]) {
        last[*kept] = graph.nodes.len();
    }
    // Tables are made from weights; they are values all the same.
    let size = |i: usize| match graph.nodes[i].op {
        Op::Learnt { .. } => 0,
        _ => graph.nodes[i].value.elements(),
    };
    let (mut live, mut most) = (0u64, 0u64);
    for (i, node) in graph.nodes.iter().enumerate() {
        live += size(i);
        most = most.max(live);
        let mut inputs: Vec<u32> = node.inputs.to_vec();
        inputs.sort_unstable();
        inputs.dedup();
        live -= inputs.iter().map(|j| *j as usize).filter(|j| last[*j] == i).map(size).sum::<u64>();
    }
    SINGLE * most
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::families;
    use crate::ir::fold_batch_norms;

    fn deployed(id: &str) -> Graph {
        let (family, info) = families::variant(id).unwrap();
        let template = family.template(id).unwrap();
        fold_batch_norms(&template.plan(&template.values(), info.resolution, 1000).unwrap().lower().unwrap()).graph
    }

    #[test]
    fn mobilenet_v2_by_hand() {
        let graph = deployed("mobilenetv2_100");
        // The widest moment: 16 x 112 x 112 go in, and 96 x 112 x 112 before and after the activation live together.
        assert_eq!(activation_bytes(&graph), 4 * 112 * 112 * (96 + 96));
        // Every parameter but the norms' scales, which fold away: a shift becomes a bias.
        let scales: u64 = 17_056;
        assert_eq!(weight_bytes(&graph), 4 * (3_504_872 - scales));
    }
}
