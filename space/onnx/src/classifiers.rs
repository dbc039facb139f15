//! Classifiers of a graph: affine functions of one vector, each written as one linear layer. A batch norm before a linear
//! layer goes into it, and of two layers whose mean is taken one is made.

use std::collections::{BTreeMap, BTreeSet};

use mobilenas_space::ir::{Graph, Op, OpKind, Readers};

/// A linear layer, and the batch norm before it, if it is folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The node that it reads.
    pub reads: usize,
    pub norm: Option<usize>,
    pub linear: usize,
}

/// The nodes that are written as one linear layer.
#[derive(Debug, Default)]
pub(super) struct Classifiers {
    /// The last node of each to the layers that it is made of: one with a norm, or two whose mean is taken.
    made_of: BTreeMap<usize, Vec<Head>>,
    /// The nodes before the last.
    inner: BTreeSet<usize>,
}

impl Classifiers {
    /// Those of a graph.
    pub fn of(graph: &Graph, readers: &Readers) -> Classifiers {
        let (mut found, search) = (Classifiers::default(), Search { graph, readers });
        let mean = |i: &usize| graph.nodes[*i].op == Op::Mean;
        for index in (0..graph.nodes.len()).filter(mean) {
            let both: Vec<Head> = graph.nodes[index].inputs.iter().filter_map(|i| search.head(*i as usize)).collect();
            if let [a, b] = both[..]
                && search.before_dropout(a.reads) == search.before_dropout(b.reads)
                && both.iter().all(|h| search.is_private(h.linear))
            {
                found.inner.extend(both.iter().flat_map(|h| h.norm.into_iter().chain([h.linear])));
                found.made_of.insert(index, both);
            }
        }
        for index in 0..graph.nodes.len() {
            let head = search.head(index).filter(|h| h.norm.is_some() && !found.hold(index));
            if let Some(head) = head {
                found.inner.extend(head.norm);
                found.made_of.insert(index, vec![head]);
            }
        }
        found
    }

    /// Whether a node writes no operator, as the layer that it is part of does.
    pub fn hold(&self, index: usize) -> bool {
        self.inner.contains(&index)
    }

    /// The layers that a node stands for; none of most.
    pub fn made_of(&self, index: usize) -> Vec<Head> {
        self.made_of.get(&index).cloned().unwrap_or_default()
    }
}

#[derive(Clone, Copy)]
struct Search<'a> {
    graph: &'a Graph,
    readers: &'a Readers,
}

impl Search<'_> {
    fn source(self, index: usize) -> Option<usize> {
        self.graph.nodes[index].inputs.first().map(|i| *i as usize)
    }

    /// Whether only one node reads a value, and no file has it as an output: the heads of a training are none there.
    fn is_private(self, index: usize) -> bool {
        self.readers[index].len() == 1 && self.graph.outputs.iter().all(|o| o.node != index)
    }

    /// The node that makes a value, before dropout.
    fn before_dropout(self, index: usize) -> usize {
        let dropout = self.graph.nodes[index].op.kind() == OpKind::Dropout;
        self.source(index).filter(|_| dropout).map_or(index, |source| self.before_dropout(source))
    }

    /// A linear layer of a vector, with the norm before it, if nothing else reads that.
    fn head(self, linear: usize) -> Option<Head> {
        let node = &self.graph.nodes[linear];
        if !matches!(node.op, Op::Linear { bias: true, .. }) || node.value.dims.len() != 1 {
            return None;
        }
        let (reads, mut index) = (self.source(linear)?, self.source(linear)?);
        while self.is_private(index) {
            let (op, source) = (&self.graph.nodes[index].op, self.source(index)?);
            if *op == Op::BatchNorm {
                return Some(Head { reads: source, norm: Some(index), linear });
            }
            if op.kind() != OpKind::Dropout {
                break;
            }
            index = source;
        }
        Some(Head { reads, norm: None, linear })
    }
}
