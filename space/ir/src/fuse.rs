//! The deployed graph: what is linear around a convolution becomes part of it.
//!
//! Batch norms and channel scales after a convolution are folded into it. Parallel branches (RepVGG, MobileOne, FastViT) that
//! read one value and are summed become one convolution: convolutions of several sizes, which are padded to the largest, and
//! the value itself, each with its batch norm or scale. Dropout counts as the identity.

use std::collections::BTreeMap;

use super::{Graph, Groups, Op, OpKind, Readers, Sections};

/// Name of a convolution that was several branches, below the module that sums them, as in timm.
const MERGED: &str = "reparam_conv";

/// A graph with batch norms and parallel branches folded, and where they went.
#[derive(Clone, Debug)]
pub struct Folded {
    /// The deployed graph; a convolution with anything folded in has a bias.
    pub graph: Graph,
    /// A convolution of the deployed graph to what it is made of.
    pub folded_from: BTreeMap<usize, Branch>,
}

/// What a deployed convolution is made of. Numbers are nodes of the original graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Branch {
    /// The value that the convolution reads.
    Identity,
    /// A convolution of that value, with its own padding.
    Conv(usize, u32),
    /// A batch norm of a branch.
    BatchNorm(usize, Box<Branch>),
    /// A channel scale of a branch.
    ChannelScale(usize, Box<Branch>),
    /// The sum of two branches.
    Sum(Box<[Branch; 2]>),
    /// The first of two branches minus the second.
    Difference(Box<[Branch; 2]>),
}

impl Branch {
    /// The number of batch norms in it.
    pub fn norms(&self) -> usize {
        match self {
            Branch::Identity | Branch::Conv(..) => 0,
            Branch::BatchNorm(_, of) => 1 + of.norms(),
            Branch::ChannelScale(_, of) => of.norms(),
            Branch::Sum(both) | Branch::Difference(both) => both.iter().map(Branch::norms).sum(),
        }
    }

    /// The first convolution in it; 0 if there is none.
    pub fn first_conv(&self) -> usize {
        match self {
            Branch::Identity => 0,
            Branch::Conv(node, _) => *node,
            Branch::BatchNorm(_, of) | Branch::ChannelScale(_, of) => of.first_conv(),
            Branch::Sum(both) | Branch::Difference(both) => both.iter().map(Branch::first_conv).max().unwrap_or(0),
        }
    }

    /// The number of convolutions in it.
    pub fn convs(&self) -> usize {
        match self {
            Branch::Identity => 0,
            Branch::Conv(..) => 1,
            Branch::BatchNorm(_, of) | Branch::ChannelScale(_, of) => of.convs(),
            Branch::Sum(both) | Branch::Difference(both) => both.iter().map(Branch::convs).sum(),
        }
    }
}

/// How a convolution slides.
#[derive(Clone, Debug)]
struct Window {
    out: Sections,
    kernel: u32,
    stride: u32,
    pad: u32,
    dilation: u32,
    groups: Groups,
}

impl Window {
    /// Whether a smaller kernel, padded with zeros, does the same inside this one.
    fn holds(&self, kernel: u32, pad: u32) -> bool {
        let before = self.pad.checked_sub(pad).filter(|p| p.is_multiple_of(self.dilation));
        before.is_some_and(|p| p / self.dilation + kernel <= self.kernel)
    }

    /// The window of the sum of two branches; a branch without a window is the identity but for factors.
    fn of_sum(a: Option<&Window>, b: Option<&Window>) -> Option<Option<Window>> {
        match (a, b) {
            (None, None) => Some(None),
            (Some(w), None) | (None, Some(w)) => (w.stride == 1 && w.holds(1, 0)).then(|| Some(w.clone())),
            (Some(a), Some(b)) => {
                let (large, small) = if a.kernel >= b.kernel { (a, b) } else { (b, a) };
                let same = (a.stride, a.groups) == (b.stride, b.groups)
                    && (small.kernel == 1 || small.dilation == large.dilation);
                (same && large.holds(small.kernel, small.pad)).then(|| Some(large.clone()))
            }
        }
    }
}

/// A node as a linear function of an earlier one.
#[derive(Clone, Debug)]
struct Form {
    /// The earlier node.
    reads: usize,
    /// None if no convolution is in it.
    window: Option<Window>,
    branch: Branch,
    /// The nodes that it replaces.
    parts: Vec<usize>,
    /// The last sum among them.
    sum: Option<usize>,
}

impl Form {
    fn identity(of: usize) -> Form {
        Form { reads: of, window: None, branch: Branch::Identity, parts: Vec::new(), sum: None }
    }

    fn then(mut self, node: usize, branch: impl FnOnce(Box<Branch>) -> Branch) -> Form {
        self.parts.push(node);
        Form { branch: branch(Box::new(self.branch)), ..self }
    }
}

/// The forms of a graph's nodes that no larger form has taken.
struct Forms<'a> {
    graph: &'a Graph,
    readers: Readers,
    found: Vec<Option<Form>>,
}

impl Forms<'_> {
    fn of(graph: &Graph) -> Vec<Option<Form>> {
        let mut all = Forms { graph, readers: graph.readers(), found: Vec::with_capacity(graph.nodes.len()) };
        for i in 0..graph.nodes.len() {
            let form = all.form(i);
            all.found.push(form);
        }
        all.found
    }

    /// Whether only one node reads a value, and nothing outside the graph does.
    fn is_private(&self, i: usize) -> bool {
        self.readers[i].len() == 1 && !self.graph.is_output(i)
    }

    fn open(&self, i: usize) -> Option<&Form> {
        self.found[i].as_ref().filter(|_| self.is_private(i))
    }

    fn form(&mut self, i: usize) -> Option<Form> {
        let node = &self.graph.nodes[i];
        let reads = *node.inputs.first()? as usize;
        match &node.op {
            Op::Conv { out, kernel, stride, pad, dilation, groups, bias: _ } => {
                let (kernel, stride, pad, dilation, groups) = (*kernel, *stride, *pad, *dilation, *groups);
                let window = Some(Window { out: out.clone(), kernel, stride, pad, dilation, groups });
                Some(Form { reads, window, branch: Branch::Conv(i, pad), parts: vec![i], sum: None })
            }
            Op::BatchNorm => Some(self.take(reads).then(i, |of| Branch::BatchNorm(i, of))),
            Op::ChannelScale { .. } => Some(self.take(reads).then(i, |of| Branch::ChannelScale(i, of))),
            Op::Add => self.sum(i, reads, Branch::Sum),
            Op::Sub => self.sum(i, reads, Branch::Difference),
            op if op.kind() == OpKind::Dropout => {
                self.open(reads).is_some().then(|| self.take(reads).then(i, |of| *of))
            }
            #[rustfmt::skip]
            Op::Input | Op::LayerNorm { .. } | Op::GroupNorm { .. } | Op::Linear { .. } | Op::Act(_) | Op::AvgPool { .. }
            | Op::GlobalPool { .. } | Op::Resize { .. } | Op::Unfold { .. } | Op::Fold { .. } | Op::Flatten
            | Op::Slice { .. } | Op::SliceHeads { .. } | Op::Concat | Op::ConcatRows | Op::Row { .. } | Op::Mean | Op::Mul
            | Op::SumWidth | Op::Softmax | Op::InvSqrt { .. } | Op::Attention { .. } | Op::SplitHeads { .. }
            | Op::MergeHeads { .. } | Op::MatMul | Op::BiasTable { .. } | Op::Learnt { .. } | Op::Dropout { .. }
            | Op::DropPath { .. } | Op::MaxPool { .. } | Op::Shuffle { .. } | Op::ResizeNearest { .. } | Op::L2Norm
            | Op::Rows { .. } | Op::LinearAttention { .. } | Op::Fourier | Op::Offsets { .. } | Op::Windows { .. }
            | Op::RelativeLogits { .. } | Op::ResizeCubic { .. } | Op::Unwindow { .. }
            | Op::AdaptiveAvgPool { .. } | Op::Unflatten { .. } | Op::SplitRows { .. } | Op::Vector
            | Op::ConvTranspose { .. } | Op::Regions { .. } => None,
        }
    }

    /// The form of a value, which nothing else may use any more; the value itself if it has none.
    fn take(&mut self, i: usize) -> Form {
        let form = if self.is_private(i) { self.found[i].take() } else { None };
        form.unwrap_or_else(|| Form::identity(i))
    }

    /// The form of a sum, if both sides are functions of one value.
    fn sum(&mut self, i: usize, a: usize, join: fn(Box<[Branch; 2]>) -> Branch) -> Option<Form> {
        let nodes = &self.graph.nodes;
        let b = *nodes[i].inputs.get(1)? as usize;
        if nodes[a].value.dims != nodes[b].value.dims {
            return None;
        }
        let reads = |x: usize| self.open(x).map(|f| f.reads);
        let (from_a, from_b) = match (reads(a), reads(b)) {
            (Some(x), Some(y)) if x == y => (true, true),
            (Some(x), _) if x == b => (true, false),
            (_, Some(y)) if y == a => (false, true),
            _ => return None,
        };
        let window = |x: usize, from: bool| self.found[x].as_ref().filter(|_| from).and_then(|f| f.window.as_ref());
        let window = Window::of_sum(window(a, from_a), window(b, from_b))?;
        let mut side = |x: usize, from: bool| if from { self.take(x) } else { Form::identity(x) };
        let (a, b) = (side(a, from_a), side(b, from_b));
        let parts = a.parts.into_iter().chain(b.parts).chain([i]).collect();
        Some(Form { reads: a.reads, window, branch: join(Box::new([a.branch, b.branch])), parts, sum: Some(i) })
    }
}

/// Folds batch norms, channel scales and parallel branches into convolutions.
pub fn fold_batch_norms(graph: &Graph) -> Folded {
    let mut forms = Forms::of(graph);
    let mut gone = vec![false; graph.nodes.len()];
    for (root, form) in forms.iter_mut().enumerate() {
        if form.as_ref().is_some_and(|f| f.window.is_none() || f.parts.len() == 1) {
            *form = None;
        }
        form.iter().flat_map(|f| &f.parts).filter(|p| **p != root).for_each(|p| gone[*p] = true);
    }
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    let (mut at, mut folded_from) = (Vec::with_capacity(graph.nodes.len() + 1), BTreeMap::new());
    for (i, (node, form)) in graph.nodes.iter().zip(forms).enumerate() {
        at.push(nodes.len());
        if gone[i] {
            continue;
        }
        let mut node = node.clone();
        if let Some(Form { reads, window: Some(window), branch, parts, sum }) = form {
            let Window { out, kernel, stride, pad, dilation, groups } = window;
            node.op = Op::Conv { out, kernel, stride, pad, dilation, groups, bias: true };
            node.inputs = [reads as u32].into_iter().collect();
            let module = &graph.nodes[sum.unwrap_or(parts[0])];
            let place = |path: &super::Path| if sum.is_some() { path.at(MERGED) } else { path.clone() };
            (node.path, node.shared) = (place(&module.path), place(&module.shared));
            folded_from.insert(nodes.len(), branch);
        }
        node.inputs.iter_mut().for_each(|x| *x = at[*x as usize] as u32);
        nodes.push(node);
    }
    at.push(nodes.len());
    Folded { graph: graph.moved(nodes, |old| at[old]), folded_from }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, InitStyle, ScaleName, Val, Value};

    fn begin() -> (Builder, Val) {
        Builder::new(Value::map(Sections::plain(4), 8, 8), InitStyle::Mobile)
    }

    fn names(folded: &Folded) -> Vec<&'static str> {
        folded.graph.nodes.iter().map(|n| n.op.name()).collect()
    }

    /// A depthwise convolution with its batch norm.
    fn branch(b: &mut Builder, name: &'static str, x: Val, kernel: u32, stride: u32) -> Val {
        let y = b.within(name, |b| {
            let y = b.depthwise("conv", x, kernel, stride, false)?;
            b.bn("bn", y)
        });
        y.unwrap()
    }

    #[test]
    fn parallel_branches_become_the_largest_convolution() {
        let (mut b, x) = begin();
        let (large, small) = (branch(&mut b, "large", x, 5, 1), branch(&mut b, "small", x, 3, 1));
        let skip = b.bn("skip", x).unwrap();
        let y = b.add(skip, large).unwrap();
        let y = b.add(y, small).unwrap();
        let y = b.bn("after", y).unwrap();
        let folded = fold_batch_norms(&b.finish(y));
        assert_eq!(names(&folded), ["input", "depthwise_conv"]);
        assert!(matches!(folded.graph.nodes[1].op, Op::Conv { kernel: 5, pad: 2, bias: true, .. }));
        assert_eq!(folded.graph.nodes[1].path.to_string(), "reparam_conv");
        let from = &folded.folded_from[&1];
        assert_eq!((from.norms(), from.convs()), (4, 2));
    }

    #[test]
    fn the_mixer_of_fastvit_becomes_one_convolution() {
        let (mut b, x) = begin();
        let mixed = branch(&mut b, "mixer", x, 3, 1);
        let norm = b.bn("norm", x).unwrap();
        let y = b.op(Op::Sub, &[mixed, norm]).unwrap();
        let y = b.op_at("layer_scale", Op::ChannelScale { init_e7: 100, name: ScaleName::Gamma }, &[y]).unwrap();
        let y = b.op(Op::DropPath { permille: 10 }, &[y]).unwrap();
        let y = b.add(x, y).unwrap();
        let folded = fold_batch_norms(&b.finish(y));
        assert_eq!(names(&folded), ["input", "depthwise_conv"]);
        let Branch::Sum(both) = &folded.folded_from[&1] else { panic!("{:?}", folded.folded_from) };
        assert_eq!(both[0], Branch::Identity);
        assert!(matches!(&both[1], Branch::ChannelScale(_, of) if matches!(**of, Branch::Difference(_))));
    }

    #[test]
    fn dilated_branches_merge_where_their_taps_meet() {
        let merged = |rates: [u32; 2]| {
            let (mut b, x) = begin();
            let mut one = |name, kernel: u32, dilation| {
                let (out, groups) = (Sections::plain(4), Groups::Depthwise);
                let pad = kernel / 2 * dilation;
                b.op_at(name, Op::Conv { out, kernel, stride: 1, pad, dilation, groups, bias: false }, &[x]).unwrap()
            };
            let (large, small) = (one("large", 5, rates[0]), one("small", 3, rates[1]));
            let y = b.add(large, small).unwrap();
            let y = b.add(y, x).unwrap();
            names(&fold_batch_norms(&b.finish(y))).len() == 2
        };
        assert!(merged([2, 2]) && merged([1, 1]));
        assert!(!merged([2, 1]) && !merged([1, 2]));
    }

    #[test]
    fn a_single_convolution_keeps_its_name() {
        let (mut b, x) = begin();
        let y = branch(&mut b, "a", x, 3, 2);
        let y = b.op_at("ls", Op::ChannelScale { init_e7: 100, name: ScaleName::Gamma }, &[y]).unwrap();
        let folded = fold_batch_norms(&b.finish(y));
        assert_eq!(names(&folded), ["input", "depthwise_conv"]);
        assert_eq!(folded.graph.nodes[1].path.to_string(), "a.conv");
    }

    #[test]
    fn what_is_no_convolution_of_one_value_stays() {
        // Other strides of the two branches: the second reads an average.
        let (mut b, x) = begin();
        let a = branch(&mut b, "a", x, 3, 2);
        let half = b.op(Op::AvgPool { kernel: 2, stride: 2, pad: 0 }, &[x]).unwrap();
        let c = branch(&mut b, "b", half, 3, 1);
        let y = b.add(a, c).unwrap();
        assert_eq!(names(&fold_batch_norms(&b.finish(y))).len(), 5);
        // Dense beside depthwise.
        let (mut b, x) = begin();
        let a = branch(&mut b, "a", x, 3, 1);
        let c = b.conv("b", x, 4, 1, 1, false).unwrap();
        let y = b.add(a, c).unwrap();
        assert_eq!(names(&fold_batch_norms(&b.finish(y))), ["input", "depthwise_conv", "conv", "add"]);
        // A branch that something else reads.
        let (mut b, x) = begin();
        let a = branch(&mut b, "a", x, 3, 1);
        let y = b.add(a, x).unwrap();
        let y = b.op(Op::Mul, &[y, a]).unwrap();
        assert_eq!(names(&fold_batch_norms(&b.finish(y))), ["input", "depthwise_conv", "add", "mul"]);
        // Nothing to fold a batch norm into.
        let (mut b, x) = begin();
        let n = b.bn("n", x).unwrap();
        let y = b.add(x, n).unwrap();
        assert_eq!(names(&fold_batch_norms(&b.finish(y))), ["input", "batch_norm", "add"]);
        // A sum that broadcasts.
        let (mut b, x) = begin();
        let pooled = b.op(Op::GlobalPool { keep: true }, &[x]).unwrap();
        let a = branch(&mut b, "a", pooled, 1, 1);
        let y = b.add(x, a).unwrap();
        assert_eq!(names(&fold_batch_norms(&b.finish(y))), ["input", "global_pool", "depthwise_conv", "add"]);
    }
}
