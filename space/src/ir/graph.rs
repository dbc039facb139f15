//! The graph of one network.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use smallvec::SmallVec;

use super::{InitStyle, Op, ParamSpec, Path, Value};

/// One operation in the graph.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it does.
    pub op: Op,
    /// The nodes it reads, by position; all stand before it.
    pub inputs: SmallVec<[u32; 2]>,
    /// Its path in the stand-alone network.
    pub path: Path,
    /// Its path in the supernet.
    pub shared: Path,
    /// What it makes.
    pub value: Value,
}

/// A named range of nodes: one block, the unit of latency.
#[derive(Clone, Debug)]
pub struct Range {
    /// The block's path in the stand-alone network.
    pub path: Path,
    /// The kind of block.
    pub kind: &'static str,
    /// Its first node.
    pub start: usize,
    /// One past its last node.
    pub end: usize,
}

/// A network as data: operations in an order in which they can run.
#[derive(Clone, Debug)]
pub struct Graph {
    /// The operations; the first is the input.
    pub nodes: Vec<Node>,
    /// The blocks, in order; together they hold every node but the input.
    pub blocks: Vec<Range>,
    /// The node whose value is the network's: one number a class.
    pub output: usize,
    /// The nodes that training sees: the classifier heads. Their mean is the output.
    pub heads: Vec<usize>,
    /// How the tensors begin.
    pub style: InitStyle,
}

impl Graph {
    /// Value of the image.
    pub fn input(&self) -> &Value {
        &self.nodes[0].value
    }

    /// The tensors of one node, in the order in which readers bind them.
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

    /// All tensors of the network, in order.
    pub fn params(&self) -> Vec<ParamSpec> {
        (0..self.nodes.len()).flat_map(|i| self.node_params(i)).collect()
    }

    /// How often each operation occurs.
    pub fn histogram(&self) -> BTreeMap<&'static str, usize> {
        let mut h = BTreeMap::new();
        for n in &self.nodes {
            *h.entry(n.op.name()).or_default() += 1;
        }
        h
    }

    /// A digest of the whole: operations, sizes, edges and the shared tensors they read, as 32 hex digits.
    ///
    /// Two genomes with one digest are one candidate. Stable between runs of one version of the program.
    pub fn digest(&self) -> String {
        let (mut a, mut b) = (Fnv(0xcbf2_9ce4_8422_2325), Fnv(0x9ae1_6a3b_2f90_404f));
        let mut line = String::new();
        for n in &self.nodes {
            line.clear();
            // Writing to a string cannot fail.
            let _ = write!(line, "{:?} {:?} {:?} {}", n.op, n.inputs, n.value, n.shared);
            a.eat(line.as_bytes());
            b.eat(line.as_bytes());
        }
        format!("{:016x}{:016x}", a.0, b.0)
    }
}

/// FNV-1a, 64 bit: a digest that does not change with the compiler.
pub(crate) struct Fnv(pub(crate) u64);

impl Fnv {
    pub(crate) fn eat(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().chain(&[0xff]) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self.0 ^= self.0 >> 29;
    }
}
