//! The graph of one network.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use smallvec::SmallVec;

use super::{InitStyle, Op, ParamSpec, Path, Value};
use crate::fnv::LineDigest;

/// One operation in the graph.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it does.
    pub op: Op,
    /// The nodes it reads, by index; all come before it.
    pub inputs: SmallVec<[u32; 2]>,
    /// Its path in the stand-alone network.
    pub path: Path,
    /// Its path in the supernet.
    pub shared: Path,
    /// The type of its result.
    pub value: Value,
}

/// The nodes of one block.
#[derive(Clone, Debug)]
pub struct BlockRange {
    /// The block's path in the stand-alone network.
    pub path: Path,
    /// The kind of block.
    pub kind: &'static str,
    /// Its first node.
    pub start: usize,
    /// One past its last node.
    pub end: usize,
}

/// For each node, the nodes that read its value.
pub type Readers = Vec<SmallVec<[usize; 2]>>;

/// A network as data: operations in an order in which they can run.
#[derive(Clone, Debug)]
pub struct Graph {
    /// The operations; the first is the input.
    pub nodes: Vec<Node>,
    /// The blocks, in order; together they hold every node but the input.
    pub blocks: Vec<BlockRange>,
    /// The node whose value is the network's output: the logits.
    pub output: usize,
    /// The classifier heads, on which training has a loss; the output is their mean.
    pub heads: Vec<usize>,
    /// How tensors are initialised.
    pub style: InitStyle,
}

impl Graph {
    /// The type of the image.
    pub fn input(&self) -> &Value {
        &self.nodes[0].value
    }

    /// The tensors of one node, in a fixed order.
    pub fn node_params(&self, index: usize) -> Vec<ParamSpec> {
        let node = &self.nodes[index];
        let x = node.inputs.first().map(|&i| &self.nodes[i as usize].value);
        let mut specs = node.op.params(&node.path.to_string(), x, self.style);
        if !specs.is_empty() {
            let (own, shared) = (node.path.to_string(), node.shared.to_string());
            for s in &mut specs {
                s.shared = format!("{shared}{}", &s.name[own.len()..]);
            }
        }
        specs
    }

    /// All tensors of the network, in the order of its nodes.
    pub fn params(&self) -> Vec<ParamSpec> {
        (0..self.nodes.len()).flat_map(|i| self.node_params(i)).collect()
    }

    /// For each node, the nodes that read its value, in order; one that reads it twice is listed twice.
    pub fn readers(&self) -> Readers {
        let mut readers = vec![SmallVec::new(); self.nodes.len()];
        for (i, node) in self.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|x| readers[*x as usize].push(i));
        }
        readers
    }

    /// The graph without the nodes for which `replacement` names an earlier node, which their readers then read instead; and
    /// for each old node, the new one that holds its value.
    pub(crate) fn bypass(&self, replacement: impl Fn(usize) -> Option<usize>) -> (Graph, Vec<usize>) {
        let (mut nodes, mut at) = (Vec::<Node>::new(), Vec::<usize>::with_capacity(self.nodes.len()));
        for (i, node) in self.nodes.iter().enumerate() {
            if let Some(earlier) = replacement(i) {
                at.push(at[earlier]);
                continue;
            }
            let mut node = node.clone();
            node.inputs.iter_mut().for_each(|x| *x = at[*x as usize] as u32);
            at.push(nodes.len());
            nodes.push(node);
        }
        let end = |old: usize| at.get(old).copied().unwrap_or(nodes.len());
        let block = |b: &BlockRange| BlockRange { start: end(b.start), end: end(b.end), ..b.clone() };
        let blocks = self.blocks.iter().map(block).collect();
        let (output, heads) = (at[self.output], self.heads.iter().map(|h| at[*h]).collect());
        (Graph { nodes, blocks, output, heads, style: self.style }, at)
    }

    /// How often each operation occurs.
    pub fn histogram(&self) -> BTreeMap<&'static str, usize> {
        let mut h = BTreeMap::new();
        for n in &self.nodes {
            *h.entry(n.op.name()).or_default() += 1;
        }
        h
    }

    /// A digest of the whole graph: operations, shapes, edges and the shared tensors they read, as 32 hex digits.
    ///
    /// Two genomes with the same digest are one candidate. Stable between runs of one version of the program.
    pub fn digest(&self) -> String {
        let (mut a, mut b) = (LineDigest::new(), LineDigest::second());
        let mut line = String::new();
        for n in &self.nodes {
            line.clear();
            // Writing to a string cannot fail.
            let _ = write!(line, "{:?} {:?} {:?} {}", n.op, n.inputs, n.value, n.shared);
            a.line(&line);
            b.line(&line);
        }
        format!("{:016x}{:016x}", a.finish(), b.finish())
    }
}
