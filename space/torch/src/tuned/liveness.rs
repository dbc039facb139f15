//! How long values live, and which a step may overwrite.

use mobilenas_space::ir::{Graph, Op, OpKind};

use super::fusion::{Step, StepKind};

/// Liveness of the values of a list of steps.
pub(crate) struct Liveness {
    /// For each step, the values whose last reader it is.
    pub last_read: Vec<Vec<usize>>,
    /// For each step, which of its inputs it may overwrite.
    pub writable: Vec<Vec<bool>>,
}

/// The owner of memory that is never overwritten: the images, parameters.
const KEPT: usize = usize::MAX;

impl Liveness {
    pub fn of(graph: &Graph, steps: &[Step]) -> Liveness {
        let nodes = graph.nodes.len();
        let mut last = vec![0; nodes];
        for (n, step) in steps.iter().enumerate() {
            step.inputs.iter().for_each(|i| last[*i] = n);
        }
        graph.outputs.iter().for_each(|o| last[o.node] = steps.len());
        let mut last_read = vec![Vec::new(); steps.len()];
        (0..nodes).filter(|i| last[*i] < steps.len()).for_each(|i| last_read[last[i]].push(i));
        // For each value, the value that owns the memory it may be a view of.
        let mut owner: Vec<usize> = (0..nodes).collect();
        owner[..graph.inputs().count()].fill(KEPT);
        let mut writable = Vec::with_capacity(steps.len());
        for (n, step) in steps.iter().enumerate() {
            let may_overwrite = |i: &usize| {
                let dies_here = (0..nodes).filter(|v| owner[*v] == owner[*i]).all(|v| last[v] <= n);
                owner[*i] != KEPT && dies_here && step.inputs.iter().filter(|j| *j == i).count() == 1
            };
            writable.push(step.inputs.iter().map(may_overwrite).collect::<Vec<bool>>());
            if matches!(step.kind, StepKind::Node) {
                owner[step.out] = owner_of(&graph.nodes[step.out].op, step, &owner);
            }
        }
        Liveness { last_read, writable }
    }
}

/// Whose memory the value of a node may be. A value computed in place owns it: its input dies with it.
fn owner_of(op: &Op, step: &Step, owner: &[usize]) -> usize {
    match (op.kind(), &step.inputs[..]) {
        (OpKind::Parameter, _) => KEPT,
        (OpKind::Movement | OpKind::Dropout, [input]) => owner[*input],
        (OpKind::Movement | OpKind::Dropout, _)
        | (
            OpKind::Input
            | OpKind::Contraction(_)
            | OpKind::Norm
            | OpKind::Reduction
            | OpKind::Pool
            | OpKind::Elementwise,
            _,
        ) => step.out,
    }
}
