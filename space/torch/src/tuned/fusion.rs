//! Fuses a graph's nodes into steps: a convolution or linear layer with the post-ops that follow it, as long as nothing else
//! reads the values between. Decides by operations and edges alone; no family is named.

use mobilenas_space::ir::{ActFn, Graph, Groups, Op, OpKind};

/// What is applied in place to the result of a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum PostOp {
    /// An activation.
    Act(ActFn),
    /// The sum with one of the step's inputs.
    Add(usize),
}

/// A convolution or linear layer with what is fused into it.
#[derive(Clone, Debug)]
pub(crate) struct FusedLayer {
    /// The node of the convolution or linear layer.
    pub layer: usize,
    /// First and number of the output channels that are computed, if not all.
    pub channels: Option<(u32, u32)>,
    /// The group norm of the input whose scale and shift are multiplied into the weights.
    pub input_norm: Option<usize>,
    /// Channel scales of the output that are multiplied into the weights.
    pub output_scales: Vec<usize>,
    /// Post-ops, in order.
    pub post: Vec<PostOp>,
}

/// How a step is computed.
#[derive(Clone, Debug)]
pub(crate) enum StepKind {
    /// A node as it is.
    Node,
    /// A group norm without its scale and shift.
    Normalize,
    /// The sum over the width of a map, weighted by a map of one channel.
    WeightedSum,
    /// A matrix product times `n^-0.5` plus the third input.
    ScaledProduct(u32),
    /// A convolution or linear layer.
    Layer(FusedLayer),
}

/// One step of execution, which computes the value of one node.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// The node whose value it computes.
    pub out: usize,
    /// The nodes whose values it reads.
    pub inputs: Vec<usize>,
    /// How.
    pub kind: StepKind,
}

struct Fuser<'a> {
    graph: &'a Graph,
    /// For each node, the one that holds its value: dropout, the identity here, is skipped.
    same: Vec<usize>,
    readers: Vec<Vec<usize>>,
    /// Nodes that are fused into the step of another.
    fused: Vec<bool>,
}

/// The steps of a folded graph, in order of execution.
pub(crate) fn fuse(graph: &Graph) -> Vec<Step> {
    let n = graph.nodes.len();
    let mut same: Vec<usize> = (0..n).collect();
    for (i, node) in graph.nodes.iter().enumerate().filter(|(_, n)| n.op.kind() == OpKind::Dropout) {
        same[i] = same[node.inputs[0] as usize];
    }
    let mut readers = vec![Vec::new(); n];
    for (i, node) in graph.nodes.iter().enumerate().filter(|(i, _)| same[*i] == *i) {
        node.inputs.iter().for_each(|j| readers[same[*j as usize]].push(i));
    }
    graph.outputs.iter().for_each(|o| readers[same[o.node]].push(n));
    let mut fuser = Fuser { graph, same, readers, fused: vec![false; n] };
    let mut steps = Vec::new();
    for i in graph.inputs().count()..n {
        if fuser.same[i] == i && !fuser.fused[i] {
            fuser.step(i, &mut steps);
        }
    }
    for o in graph.outputs.iter().filter(|o| fuser.same[o.node] != o.node) {
        steps.push(fuser.plain(o.node));
    }
    // A step with a fused sum may read a value computed after its layer, so steps run in the order of their outputs.
    steps.sort_by_key(|s| s.out);
    steps
}

impl Fuser<'_> {
    fn op(&self, i: usize) -> &Op {
        &self.graph.nodes[i].op
    }

    fn inputs(&self, i: usize) -> Vec<usize> {
        self.graph.nodes[i].inputs.iter().map(|j| self.same[*j as usize]).collect()
    }

    /// The only reader of a value, if it is not fused yet.
    fn only_reader(&self, i: usize) -> Option<usize> {
        match self.readers[i][..] {
            [r] if r < self.fused.len() && !self.fused[r] => Some(r),
            _ => None,
        }
    }

    /// Appends the step of a node; a node for which there is no fusion is a step as it is.
    fn step(&mut self, i: usize, steps: &mut Vec<Step>) {
        let op = self.op(i);
        if matches!(op, Op::Conv { .. } | Op::Linear { .. }) {
            return self.layers(i, steps);
        }
        let step = if matches!(op, Op::GroupNorm { .. }) && self.folds_into_readers(i) {
            Some(Step { kind: StepKind::Normalize, ..self.plain(i) })
        } else if *op == Op::Mul {
            self.weighted_sum(i)
        } else if *op == Op::MatMul {
            self.scaled_product(i)
        } else {
            None
        };
        steps.push(step.unwrap_or_else(|| self.plain(i)));
    }

    fn plain(&self, i: usize) -> Step {
        Step { out: i, inputs: self.inputs(i), kind: StepKind::Node }
    }

    /// Whether every reader of a group norm is a convolution that can take its scale and shift into its weights.
    fn folds_into_readers(&self, i: usize) -> bool {
        let pointwise = |r: &usize| {
            *r < self.graph.nodes.len()
                && matches!(self.op(*r), Op::Conv { kernel: 1, pad: 0, groups: Groups::Dense, .. })
        };
        !self.readers[i].is_empty() && self.readers[i].iter().all(pointwise)
    }

    fn weighted_sum(&mut self, i: usize) -> Option<Step> {
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
        self.fused[sum] = true;
        Some(Step { out: sum, inputs, kind: StepKind::WeightedSum })
    }

    fn scaled_product(&mut self, i: usize) -> Option<Step> {
        let scale = self.only_reader(i)?;
        let Op::InvSqrt { n } = *self.op(scale) else { return None };
        let add = self.only_reader(scale).filter(|r| *self.op(*r) == Op::Add)?;
        let other = self.inputs(add).into_iter().find(|j| *j != scale)?;
        if self.graph.nodes[other].value.dims != self.graph.nodes[i].value.dims {
            return None;
        }
        (self.fused[scale], self.fused[add]) = (true, true);
        let inputs = self.inputs(i).into_iter().chain([other]).collect();
        Some(Step { out: add, inputs, kind: StepKind::ScaledProduct(n) })
    }

    /// A convolution or linear layer: one step, or one for each slice when only slices read it.
    fn layers(&mut self, layer: usize, steps: &mut Vec<Step>) {
        let sliced = matches!(self.op(layer), Op::Conv { groups: Groups::Dense, .. })
            && self.readers[layer].iter().all(|r| *r < self.fused.len() && matches!(self.op(*r), Op::Slice { .. }));
        if !sliced {
            let step = self.layer(layer, layer, None);
            return steps.push(step);
        }
        for slice in self.readers[layer].clone() {
            if let Op::Slice { start, len } = *self.op(slice) {
                self.fused[slice] = true;
                let step = self.layer(layer, slice, Some((start, len)));
                steps.push(step);
            }
        }
    }

    fn layer(&mut self, layer: usize, from: usize, channels: Option<(u32, u32)>) -> Step {
        let mut inputs = self.inputs(layer);
        let norm = |x: &usize| matches!(self.op(*x), Op::GroupNorm { .. }) && self.folds_into_readers(*x);
        let input_norm = Some(inputs[0]).filter(norm);
        let mut fused = FusedLayer { layer, channels, input_norm, output_scales: Vec::new(), post: Vec::new() };
        let mut out = from;
        while let Some(next) = self.only_reader(out) {
            if !self.fuse_next(&mut fused, &mut inputs, out, next) {
                break;
            }
            self.fused[next] = true;
            out = next;
        }
        Step { out, inputs, kind: StepKind::Layer(fused) }
    }

    /// Fuses the reader `next` of the value `at` into a layer, if it can be.
    fn fuse_next(&self, fused: &mut FusedLayer, inputs: &mut Vec<usize>, at: usize, next: usize) -> bool {
        let op = self.op(next);
        if matches!(op, Op::ChannelScale { .. }) && fused.post.is_empty() {
            fused.output_scales.push(next);
            return true;
        }
        if let Op::Act(f) = op {
            fused.post.push(PostOp::Act(*f));
            return true;
        }
        let dims = |j: usize| &self.graph.nodes[j].value.dims;
        let other = self.inputs(next).into_iter().find(|j| *j != at);
        let Some(other) = other.filter(|_| *op == Op::Add) else { return false };
        let same_size = dims(at) == dims(next) && dims(other) == dims(next);
        if same_size {
            fused.post.push(PostOp::Add(inputs.len()));
            inputs.push(other);
        }
        same_size
    }
}
