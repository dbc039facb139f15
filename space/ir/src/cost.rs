//! What a network costs: parameters, multiply-accumulates, activations.
//!
//! One MAC is one multiply-accumulate of a convolution, a linear layer or a matrix product of attention; norms, activations,
//! pooling, softmax and sums count nothing. PyTorch's `FlopCounterMode` counts the same, twice, with attention not fused.

use crate::block_cache::BlockCache;
use crate::{Contraction, Graph, OpKind, ParamSpec, Plan, ShapeError, Value};

/// Cost of a node, a block or a whole network. Costs add.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Cost {
    /// Learnable parameters.
    pub params: u64,
    /// Multiply-accumulates for one image.
    pub macs: u64,
    /// Elements that convolutions, linear layers and matrix products write for one image.
    pub activations: u64,
}

impl std::ops::Add for Cost {
    type Output = Cost;

    fn add(self, o: Cost) -> Cost {
        Cost { params: self.params + o.params, macs: self.macs + o.macs, activations: self.activations + o.activations }
    }
}

impl std::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Cost>>(costs: I) -> Cost {
        costs.fold(Cost::default(), std::ops::Add::add)
    }
}

/// Cost of one node of a graph.
pub fn node(graph: &Graph, index: usize) -> Cost {
    let n = &graph.nodes[index];
    let trainable = |p: &&ParamSpec| p.role.trainable() && !n.tied;
    let params = graph.node_params(index).iter().filter(trainable).map(ParamSpec::elements).sum();
    let macs = match n.op.kind() {
        OpKind::Contraction(c) => macs(c, &n.value, |i| n.inputs.get(i).map(|&i| &graph.nodes[i as usize].value)),
        OpKind::Input
        | OpKind::Norm
        | OpKind::Reduction
        | OpKind::Pool
        | OpKind::Elementwise
        | OpKind::Movement
        | OpKind::Parameter
        | OpKind::Dropout => 0,
    };
    Cost { params, macs, activations: if macs > 0 { n.value.elements() } else { 0 } }
}

fn macs<'a>(op: Contraction, out: &Value, input: impl Fn(usize) -> Option<&'a Value>) -> u64 {
    let channels = |i| input(i).map_or(0, |v| u64::from(v.channels()));
    match op {
        Contraction::Conv { kernel, groups } => {
            let read = channels(0) as u32;
            let per_group = u64::from(read / groups.count(read).max(1));
            let [height, width] = groups.pair(kernel, 1);
            out.elements() * per_group * u64::from(height * width)
        }
        // Each query with the vectors of all rows and of all columns, whichever of them are read.
        Contraction::RelativeLogits => {
            let vectors = input(0).and_then(Value::hw).map_or(0, |(h, w)| 2 * (h + w) - 2);
            input(0).map_or(0, Value::elements) * u64::from(vectors)
        }
        // Each output element is one tap's.
        Contraction::ConvTranspose | Contraction::Linear => out.elements() * channels(0),
        Contraction::Attention => {
            let keys = input(1).map_or(0, |k| u64::from(k.dims[k.axis.saturating_sub(1)]));
            let queries = input(0).map_or(0, Value::positions);
            queries * keys * (channels(0) + channels(2))
        }
        // Twice each row of keys or queries with a row of values and of the divisor.
        Contraction::LinearAttention { heads } => {
            let positions = |i| input(i).map_or(0, Value::positions);
            (positions(0) + positions(1)) * channels(0) * (channels(2) / u64::from(heads.max(1)) + 1)
        }
        Contraction::MatMul => out.elements() * input(0).and_then(|a| a.dims.last().copied()).map_or(0, u64::from),
    }
}

/// Cost of a whole network.
pub fn graph(graph: &Graph) -> Cost {
    (0..graph.nodes.len()).map(|i| node(graph, i)).sum()
}

/// Cost of each block of a network, in order.
pub fn blocks(graph: &Graph) -> Vec<Cost> {
    graph.blocks.iter().map(|b| (b.start..b.end).map(|i| node(graph, i)).sum()).collect()
}

/// Costs of plans, cached block by block: costs add, and most blocks of a space recur. For use by one thread.
#[derive(Debug, Default)]
pub struct CostCache(BlockCache<Cost>);

impl CostCache {
    /// An empty cache.
    pub fn new() -> CostCache {
        CostCache::default()
    }

    /// Cost of a plan.
    ///
    /// # Errors
    /// When a block does not fit.
    pub fn cost(&mut self, plan: &Plan) -> Result<Cost, ShapeError> {
        let mut total = Cost::default();
        self.0.each(plan, |block| Ok::<_, ShapeError>(graph(block)), |cost| total = total + cost)?;
        Ok(total)
    }
}
