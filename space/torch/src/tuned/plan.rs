//! What runs as one: a convolution or linear layer with what follows it, as long as nothing else reads what is between.
//! Reads operations and edges alone.

use mobilenas_space::ir::{ActFn, Graph, Groups, Op};

/// What happens to a result in place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Post {
    /// A pointwise function.
    Act(ActFn),
    /// A value is added: this one of the step's inputs.
    Add(usize),
}

/// A convolution or linear layer and what follows it.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    /// The node of the convolution or linear layer.
    pub head: usize,
    /// The output channels that are computed, if not all: first and number.
    pub piece: Option<(u32, u32)>,
    /// The norm whose learnt scale and shift are multiplied into the weights from the input's side.
    pub norm: Option<usize>,
    /// Nodes of learnt factors that are multiplied into the weights from the output's side.
    pub scales: Vec<usize>,
    /// What follows, in order.
    pub post: Vec<Post>,
}

/// What one step does.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// A node as it is.
    Node,
    /// A group norm without its learnt scale and shift.
    Normalize,
    /// Sum over the width of a map times weights that all channels share.
    WeighedSum,
    /// A product of matrices, multiplied by `n^-0.5`, to which the third input is added.
    ScaledProduct(u32),
    /// A convolution or linear layer.
    Unit(Unit),
}

/// One step: makes the value of a node.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// The node whose value is made.
    pub out: usize,
    /// The nodes whose values are read.
    pub inputs: Vec<usize>,
    /// How.
    pub work: Work,
}

struct Planner<'a> {
    graph: &'a Graph,
    /// The node that holds the same value: training's dropout is left away.
    same: Vec<usize>,
    readers: Vec<Vec<usize>>,
    /// Nodes that another step computes on its way.
    taken: Vec<bool>,
}

/// The steps of a folded graph, in order.
pub(crate) fn plan(graph: &Graph) -> Vec<Step> {
    let n = graph.nodes.len();
    let mut same: Vec<usize> = (0..n).collect();
    for (i, node) in graph.nodes.iter().enumerate() {
        if matches!(node.op, Op::Dropout { .. } | Op::DropPath { .. }) {
            same[i] = same[node.inputs[0] as usize];
        }
    }
    let mut readers = vec![Vec::new(); n];
    for (i, node) in graph.nodes.iter().enumerate().filter(|(i, _)| same[*i] == *i) {
        node.inputs.iter().for_each(|j| readers[same[*j as usize]].push(i));
    }
    readers[same[graph.output]].push(n);
    let mut p = Planner { graph, same, readers, taken: vec![false; n] };
    let mut steps = Vec::new();
    for i in 1..n {
        if p.same[i] == i && !p.taken[i] {
            p.step(i, &mut steps);
        }
    }
    if p.same[graph.output] != graph.output {
        let inputs = vec![p.same[graph.output]];
        steps.push(Step { out: graph.output, inputs, work: Work::Node });
    }
    // A step that ends in a sum may read what is made after its first node: the order is that of the ends.
    steps.sort_by_key(|s| s.out);
    steps
}

impl Planner<'_> {
    fn op(&self, i: usize) -> &Op {
        &self.graph.nodes[i].op
    }

    fn inputs(&self, i: usize) -> Vec<usize> {
        self.graph.nodes[i].inputs.iter().map(|j| self.same[*j as usize]).collect()
    }

    /// The one node that reads a value, if it is one and nobody has computed it.
    fn only_reader(&self, i: usize) -> Option<usize> {
        match self.readers[i][..] {
            [r] if r < self.taken.len() && !self.taken[r] => Some(r),
            _ => None,
        }
    }

    fn step(&mut self, i: usize, steps: &mut Vec<Step>) {
        match self.op(i) {
            Op::Conv { .. } | Op::Linear { .. } => self.units(i, steps),
            Op::GroupNorm if self.folds_forward(i) => {
                steps.push(Step { out: i, inputs: self.inputs(i), work: Work::Normalize });
            }
            Op::Mul => {
                let step = self.weighed_sum(i);
                steps.push(step.unwrap_or_else(|| self.plain(i)));
            }
            Op::MatMul => {
                let step = self.scaled_product(i);
                steps.push(step.unwrap_or_else(|| self.plain(i)));
            }
            _ => steps.push(self.plain(i)),
        }
    }

    fn plain(&self, i: usize) -> Step {
        Step { out: i, inputs: self.inputs(i), work: Work::Node }
    }

    /// Whether every reader of a norm is a convolution that can take its scale and shift in.
    fn folds_forward(&self, i: usize) -> bool {
        let pointwise = |r: &usize| {
            *r < self.graph.nodes.len()
                && matches!(self.op(*r), Op::Conv { kernel: 1, pad: 0, groups: Groups::Dense, .. })
        };
        !self.readers[i].is_empty() && self.readers[i].iter().all(pointwise)
    }

    fn weighed_sum(&mut self, i: usize) -> Option<Step> {
        let sum = self.only_reader(i).filter(|r| *self.op(*r) == Op::SumWidth)?;
        let mut inputs = self.inputs(i);
        let value = |j: usize| &self.graph.nodes[j].value;
        if value(inputs[0]).channels() == 1 {
            inputs.swap(0, 1);
        }
        let (x, w) = (value(inputs[0]), value(inputs[1]));
        if w.channels() != 1 || x.dims[1..] != w.dims[1..] || x.axis != 0 {
            return None;
        }
        self.taken[sum] = true;
        Some(Step { out: sum, inputs, work: Work::WeighedSum })
    }

    fn scaled_product(&mut self, i: usize) -> Option<Step> {
        let scale = self.only_reader(i)?;
        let Op::InvSqrt { n } = *self.op(scale) else { return None };
        let add = self.only_reader(scale).filter(|r| *self.op(*r) == Op::Add)?;
        let other = self.inputs(add).into_iter().find(|j| *j != scale)?;
        if self.graph.nodes[other].value.dims != self.graph.nodes[i].value.dims {
            return None;
        }
        (self.taken[scale], self.taken[add]) = (true, true);
        let inputs = self.inputs(i).into_iter().chain([other]).collect();
        Some(Step { out: add, inputs, work: Work::ScaledProduct(n) })
    }

    /// A convolution or linear layer: one unit, or one for each slice when slices are all that reads it.
    fn units(&mut self, head: usize, steps: &mut Vec<Step>) {
        let sliced = matches!(self.op(head), Op::Conv { groups: Groups::Dense, .. })
            && self.readers[head].iter().all(|r| *r < self.taken.len() && matches!(self.op(*r), Op::Slice { .. }));
        if !sliced {
            let step = self.unit(head, head, None);
            return steps.push(step);
        }
        for slice in self.readers[head].clone() {
            if let Op::Slice { start, len } = *self.op(slice) {
                self.taken[slice] = true;
                let step = self.unit(head, slice, Some((start, len)));
                steps.push(step);
            }
        }
    }

    fn unit(&mut self, head: usize, from: usize, piece: Option<(u32, u32)>) -> Step {
        let mut inputs = self.inputs(head);
        let norm = Some(inputs[0]).filter(|x| *self.op(*x) == Op::GroupNorm && self.folds_forward(*x));
        let mut unit = Unit { head, piece, norm, scales: Vec::new(), post: Vec::new() };
        let mut at = from;
        while let Some(next) = self.only_reader(at) {
            match self.op(next) {
                Op::ChannelScale { .. } if unit.post.is_empty() => unit.scales.push(next),
                Op::Act(f) => unit.post.push(Post::Act(*f)),
                Op::Add => {
                    let both = self.inputs(next);
                    let Some(other) = both.iter().copied().find(|j| *j != at) else { break };
                    let dims = |j: usize| &self.graph.nodes[j].value.dims;
                    if dims(at) != dims(next) || dims(other) != dims(next) {
                        break;
                    }
                    unit.post.push(Post::Add(inputs.len()));
                    inputs.push(other);
                }
                _ => break,
            }
            self.taken[next] = true;
            at = next;
        }
        Step { out: at, inputs, work: Work::Unit(unit) }
    }
}
