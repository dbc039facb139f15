//! The graph of one network.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use smallvec::SmallVec;

use super::{BN_EPS_E7, InitStyle, Op, ParamSpec, Path, Value};
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
    /// How its tensors are initialised.
    pub style: InitStyle,
    /// Whether its tensors are those of an earlier node of its block with the same path.
    pub tied: bool,
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
    /// The nodes whose values it is given: the image, or outputs of blocks before it.
    pub inputs: SmallVec<[usize; 1]>,
    /// The node whose value it gives.
    pub output: usize,
}

/// A value that a network gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its name: `logits`, `boxes`, `scores`.
    pub name: &'static str,
    /// The node that computes it.
    pub node: usize,
}

/// The name of the only output of a network that has no more.
pub const LOGITS: &str = "logits";

/// For each node, the nodes that read its value.
pub type Readers = Vec<SmallVec<[usize; 2]>>;

/// A network as data: operations in an order in which they can run.
#[derive(Clone, Debug)]
pub struct Graph {
    /// The operations; the first is the image. A block by itself may have further inputs, which come next.
    pub nodes: Vec<Node>,
    /// The blocks, in order; together they hold every node but the inputs.
    pub blocks: Vec<BlockRange>,
    /// What the network gives, at least one; of a classifier, the logits.
    pub outputs: Vec<Output>,
    /// The classifier heads, on which training has a loss, and whose mean the logits are; else the outputs.
    pub heads: Vec<usize>,
    /// How tensors are initialised, but for those of blocks that have a style of their own.
    pub style: InitStyle,
    /// Epsilon of the batch norms, in units of 1e-7.
    pub bn_eps_e7: u32,
    /// What blocks and their parts are called, by path: classes for readers that write source. No digest depends on it.
    pub classes: Vec<(Path, &'static str)>,
}

impl Graph {
    /// The type of the image.
    pub fn input(&self) -> &Value {
        &self.nodes[0].value
    }

    /// The inputs; a whole network has one.
    pub fn inputs(&self) -> impl Iterator<Item = &Value> {
        self.nodes.iter().take_while(|n| n.op == Op::Input).map(|n| &n.value)
    }

    /// The node of the first output: of a classifier, the logits.
    pub fn output(&self) -> usize {
        self.outputs.first().map_or(self.nodes.len() - 1, |o| o.node)
    }

    /// The type of the first output.
    pub fn output_value(&self) -> &Value {
        &self.nodes[self.output()].value
    }

    /// Whether a node's value is an output or that of a head, which is read outside the graph.
    pub fn is_output(&self, node: usize) -> bool {
        self.outputs.iter().any(|o| o.node == node) || self.heads.contains(&node)
    }

    /// The graph with other nodes; `at` is the new place of an old node, or of the end.
    pub(crate) fn moved(&self, nodes: Vec<Node>, at: impl Fn(usize) -> usize) -> Graph {
        let block = |b: &BlockRange| BlockRange {
            start: at(b.start),
            end: at(b.end),
            inputs: b.inputs.iter().map(|i| at(*i)).collect(),
            output: at(b.output),
            ..b.clone()
        };
        Graph {
            nodes,
            blocks: self.blocks.iter().map(block).collect(),
            outputs: self.outputs.iter().map(|o| Output { name: o.name, node: at(o.node) }).collect(),
            heads: self.heads.iter().map(|h| at(*h)).collect(),
            style: self.style,
            bn_eps_e7: self.bn_eps_e7,
            classes: self.classes.clone(),
        }
    }

    /// Epsilon of the batch norms.
    pub fn bn_eps(&self) -> f64 {
        f64::from(self.bn_eps_e7) / 1e7
    }

    /// The tensors of one node, in a fixed order.
    pub fn node_params(&self, index: usize) -> Vec<ParamSpec> {
        let node = &self.nodes[index];
        let x = node.inputs.first().map(|&i| &self.nodes[i as usize].value);
        let mut specs = node.op.params(&node.path.to_string(), x, node.style);
        if !specs.is_empty() {
            let (own, shared) = (node.path.to_string(), node.shared.to_string());
            for s in &mut specs {
                s.shared = format!("{shared}{}", &s.name[own.len()..]);
            }
        }
        specs
    }

    /// All tensors of the network, each once, in the order of its nodes.
    pub fn params(&self) -> Vec<ParamSpec> {
        let own = (0..self.nodes.len()).filter(|i| !self.nodes[*i].tied);
        own.flat_map(|i| self.node_params(i)).collect()
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
    pub fn bypass(&self, replacement: impl Fn(usize) -> Option<usize>) -> (Graph, Vec<usize>) {
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
        let end = nodes.len();
        (self.moved(nodes, |old| at.get(old).copied().unwrap_or(end)), at)
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
        let (mut a, mut b) = (LineDigest::first(), LineDigest::second());
        let mut line = String::new();
        for n in &self.nodes {
            line.clear();
            // Writing to a string cannot fail.
            let _ = write!(line, "{:?} {:?} {:?} {}", Stable(&n.op), n.inputs, n.value, n.shared);
            a.line(&line);
            b.line(&line);
        }
        if self.bn_eps_e7 != BN_EPS_E7 {
            let line = format!("batch norms {}", self.bn_eps_e7);
            a.line(&line);
            b.line(&line);
        }
        format!("{:016x}{:016x}", a.finish(), b.finish())
    }
}

/// An operation as digests know it: a field that came later is told only where it differs from what it was before.
struct Stable<'a>(&'a Op);

impl fmt::Debug for Stable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self.0 == Op::GROUP_NORM {
            return f.write_str("GroupNorm");
        }
        if let Op::LayerNorm { eps_e7, bias: true } = self.0 {
            return f.debug_struct("LayerNorm").field("eps_e7", eps_e7).finish();
        }
        let Op::Conv { out, kernel, stride, pad, dilation, groups, bias } = self.0 else { return self.0.fmt(f) };
        let mut all = f.debug_struct("Conv");
        all.field("out", out).field("kernel", kernel).field("stride", stride).field("pad", pad);
        if *dilation != 1 {
            all.field("dilation", dilation);
        }
        all.field("groups", groups).field("bias", bias).finish()
    }
}
