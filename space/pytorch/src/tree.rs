//! The graph as a tree of modules, by the paths of its operations.

use std::collections::HashMap;
use std::ops::Range;

use mobilenas_space::ir::{Graph, Op, PathSegment, Readers, ScaleName};

use crate::error::PytorchError;

/// What a module runs, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// One operation; a layer if it owns a module.
    Node(usize),
    /// Slices that together are the whole of one value.
    Split(Vec<usize>),
    /// A module inside, by index.
    Child(usize),
}

/// The operations below one path.
#[derive(Debug)]
pub(crate) struct Module<'a> {
    pub(crate) path: &'a [PathSegment],
    pub(crate) items: Vec<Item>,
    /// Nodes outside that it reads.
    pub(crate) inputs: Vec<usize>,
    /// Its nodes that others read, at least one.
    pub(crate) outputs: Vec<usize>,
}

/// All modules; children come before their parents, the root is last.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) readers: Readers,
    pub(crate) modules: Vec<Module<'a>>,
    layers: HashMap<&'a [PathSegment], usize>,
}

/// Whether an operation is a module of its own in PyTorch.
pub(crate) fn is_layer(op: &Op) -> bool {
    match op {
        Op::Conv { .. } | Op::BatchNorm | Op::LayerNorm { .. } | Op::GroupNorm { .. } | Op::Linear { .. } => true,
        Op::RelativeLogits { .. } | Op::ConvTranspose { .. } => true,
        Op::ChannelScale { name, .. } => *name != ScaleName::Attribute,
        #[rustfmt::skip]
        Op::Input | Op::Act(_) | Op::AvgPool { .. } | Op::MaxPool { .. } | Op::Shuffle { .. } | Op::ResizeNearest { .. }
        | Op::AdaptiveAvgPool { .. } | Op::Unflatten { .. } | Op::SplitRows { .. } | Op::ResizeCubic { .. }
        | Op::GlobalPool { .. } | Op::Resize { .. } | Op::Unfold { .. }
        | Op::Fold { .. } | Op::Flatten | Op::Slice { .. } | Op::SliceHeads { .. } | Op::Concat | Op::ConcatRows
        | Op::Row { .. } | Op::Add | Op::Sub | Op::Mean | Op::Mul | Op::SumWidth | Op::Softmax | Op::InvSqrt { .. }
        | Op::Attention { .. } | Op::SplitHeads { .. } | Op::MergeHeads { .. } | Op::MatMul | Op::BiasTable { .. }
        | Op::Rows { .. } | Op::LinearAttention { .. } | Op::L2Norm | Op::Fourier | Op::Offsets { .. } | Op::Windows { .. }
        | Op::Unwindow { .. } | Op::Learnt { .. } | Op::Dropout { .. } | Op::DropPath { .. } | Op::Vector
        | Op::Regions { .. } => false,
    }
}

/// Whether an operation is a tensor of the module around it, or works with one: its path names the tensor.
fn is_attribute(op: &Op) -> bool {
    matches!(op, Op::Learnt { .. } | Op::ChannelScale { name: ScaleName::Attribute, .. })
}

/// A path as text.
pub(crate) fn text(path: &[PathSegment]) -> String {
    let segment = |s: &PathSegment| match s {
        PathSegment::Name(n) => (*n).to_string(),
        PathSegment::Index(i) => i.to_string(),
        PathSegment::Numbered(n, i) => format!("{n}{i}"),
    };
    path.iter().map(segment).collect::<Vec<_>>().join(".")
}

impl<'a> Tree<'a> {
    pub(crate) fn new(graph: &'a Graph) -> Result<Tree<'a>, PytorchError> {
        let layers = graph.nodes.iter().enumerate().filter(|(_, n)| is_layer(&n.op));
        let layers = layers.map(|(i, n)| (n.path.segments(), i)).collect();
        let mut tree = Tree { graph, readers: graph.readers(), modules: Vec::new(), layers };
        tree.module(&[], 1..graph.nodes.len())?;
        Ok(tree)
    }

    /// Whether a layer gives logits, or some whose mean the network gives.
    pub(crate) fn is_classifier(&self, node: usize) -> bool {
        let is_head = |i: usize| self.graph.heads.contains(&i);
        is_head(node) || self.readers[node].iter().any(|r| is_head(*r) && self.graph.nodes[*r].op == Op::Mean)
    }

    /// The path of the module that runs a node.
    fn scope(&self, node: usize) -> &'a [PathSegment] {
        let node = &self.graph.nodes[node];
        let path = node.path.segments();
        let named = is_attribute(&node.op) || self.layers.contains_key(path);
        if named { path.split_last().map_or(path, |(_, above)| above) } else { path }
    }

    fn module(&mut self, path: &'a [PathSegment], nodes: Range<usize>) -> Result<usize, PytorchError> {
        let (mut items, mut children, mut at) = (Vec::new(), Vec::new(), nodes.start);
        while at < nodes.end {
            let scope = self.scope(at);
            if scope.len() <= path.len() {
                items.push(Item::Node(at));
                at += 1;
                continue;
            }
            let mut below = &scope[..=path.len()];
            if self.is_list(below, at..nodes.end) {
                // Parts of a list are parts of the module around it.
                if scope.len() == below.len() {
                    items.push(Item::Node(at));
                    at += 1;
                    continue;
                }
                below = &scope[..path.len() + 2];
            }
            if children.contains(&below) {
                return Err(PytorchError::Scattered { at: text(below) });
            }
            children.push(below);
            let end = (at..nodes.end).find(|i| !self.scope(*i).starts_with(below)).unwrap_or(nodes.end);
            items.push(Item::Child(self.module(below, at..end)?));
            at = end;
        }
        let items = self.with_splits(items);
        let (inputs, outputs) = match path.is_empty() {
            // The network gives its outputs in their own order.
            true => (self.inputs(&nodes), self.graph.outputs.iter().map(|o| o.node).collect()),
            false => (self.inputs(&nodes), self.outputs(&nodes)),
        };
        if outputs.is_empty() {
            return Err(PytorchError::NoOutput { at: text(path) });
        }
        self.modules.push(Module { path, items, inputs, outputs });
        Ok(self.modules.len() - 1)
    }

    /// Whether the modules below a path are numbered, and other operations come between them or read several of their values.
    fn is_list(&self, below: &[PathSegment], nodes: Range<usize>) -> bool {
        let inside = |i: &usize| self.graph.nodes[*i].path.segments().starts_with(below);
        let first = self.graph.nodes[..nodes.start].iter().position(|n| n.path.segments().starts_with(below));
        let all = first.unwrap_or(nodes.start)..nodes.end;
        let numbered =
            |i: usize| matches!(self.graph.nodes[i].path.segments().get(below.len()), Some(PathSegment::Index(_)));
        let end = all.clone().rfind(inside).map_or(all.start, |last| last + 1);
        let apart = !(all.start..end).all(|i| inside(&i));
        (apart || self.outputs(&(all.start..end)).len() > 1) && all.filter(inside).all(numbered)
    }

    fn inputs(&self, nodes: &Range<usize>) -> Vec<usize> {
        let mut inputs = Vec::new();
        for i in self.graph.nodes[nodes.clone()].iter().flat_map(|n| &n.inputs).map(|i| *i as usize) {
            if !nodes.contains(&i) && !inputs.contains(&i) {
                inputs.push(i);
            }
        }
        inputs
    }

    fn outputs(&self, nodes: &Range<usize>) -> Vec<usize> {
        let given = |i: usize| self.graph.outputs.iter().any(|o| o.node == i);
        let read = |i: &usize| given(*i) || self.readers[*i].iter().any(|r| !nodes.contains(r));
        nodes.clone().filter(read).collect()
    }

    /// Joins slices that follow each other and together are one value.
    fn with_splits(&self, items: Vec<Item>) -> Vec<Item> {
        let (mut out, mut rest) = (Vec::new(), &items[..]);
        while let Some((first, tail)) = rest.split_first() {
            let many = self.split(rest);
            match many.len() {
                0 | 1 => {
                    out.push(first.clone());
                    rest = tail;
                }
                n => {
                    out.push(Item::Split(many));
                    rest = &rest[n..];
                }
            }
        }
        out
    }

    /// The slices at the front of some items that together are one value.
    fn split(&self, items: &[Item]) -> Vec<usize> {
        let (mut slices, mut source, mut end) = (Vec::new(), None, 0);
        for item in items {
            let Item::Node(i) = *item else { break };
            let node = &self.graph.nodes[i];
            let (heads, start, len) = if let Op::Slice { start, len } = node.op {
                (1, start, len)
            } else if let Op::SliceHeads { heads, start, len } = node.op
                && self.only_attention_reads(i)
            {
                (heads, start, len)
            } else {
                break;
            };
            let from = (node.inputs[0], heads);
            if *source.get_or_insert(from) != from || start != end {
                break;
            }
            end += len;
            slices.push(i);
        }
        let whole = source.map(|(x, heads)| self.graph.nodes[x as usize].value.channels() / heads.max(1));
        if whole == Some(end) { slices } else { Vec::new() }
    }

    fn only_attention_reads(&self, node: usize) -> bool {
        self.readers[node].iter().all(|r| matches!(self.graph.nodes[*r].op, Op::Attention { .. }))
    }
}
