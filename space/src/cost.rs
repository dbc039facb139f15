//! What a network costs: parameters, multiply-accumulates, activations.
//!
//! One MAC is one multiply-accumulate of a convolution, a linear layer or a product of attention; norms, pointwise
//! functions, pooling, softmax and sums count nothing. This is the convention of PyTorch's `FlopCounterMode` (halved),
//! with attention not fused.

use crate::ir::{Graph, Groups, Op, Plan, ShapeError, Value};
use crate::memo::Memo;

/// Cost of a node, a block or a whole network. Costs add.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Cost {
    /// Learnable parameters.
    pub params: u64,
    /// Multiply-accumulates for one image.
    pub macs: u64,
    /// Elements that convolutions, linear layers and products write for one image.
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
    let params =
        graph.node_params(index).iter().filter(|p| p.role.trainable()).map(crate::ir::ParamSpec::elements).sum();
    let x = n.inputs.first().map(|&i| &graph.nodes[i as usize].value);
    let second = n.inputs.get(1).map(|&i| &graph.nodes[i as usize].value);
    let macs = macs(&n.op, &n.value, x, second, || n.inputs.get(2).map(|&i| &graph.nodes[i as usize].value));
    let activations = if macs > 0 { n.value.elements() } else { 0 };
    Cost { params, macs, activations }
}

fn macs<'a>(
    op: &Op,
    out: &Value,
    x: Option<&Value>,
    second: Option<&Value>,
    third: impl Fn() -> Option<&'a Value>,
) -> u64 {
    let wide = |v: Option<&Value>| v.map_or(0, |v| u64::from(v.channels()));
    match op {
        Op::Conv { kernel, groups, .. } => {
            let per_group = if *groups == Groups::Depthwise { 1 } else { wide(x) };
            out.elements() * per_group * u64::from(kernel * kernel)
        }
        Op::Linear { .. } => out.elements() * wide(x),
        Op::Attention { .. } => {
            let keys = second.map_or(0, |k| u64::from(k.dims[k.axis.saturating_sub(1)]));
            let queries = x.map_or(0, Value::positions);
            queries * keys * (wide(x) + wide(third()))
        }
        Op::MatMul => out.elements() * x.and_then(|a| a.dims.last().copied()).map_or(0, u64::from),
        _ => 0,
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

/// Costs of plans, remembered block by block: costs add, and most blocks of a space recur.
///
/// One `Coster` serves one thread.
#[derive(Debug, Default)]
pub struct Coster(Memo<Cost>);

impl Coster {
    /// An empty memory.
    pub fn new() -> Coster {
        Coster::default()
    }

    /// Cost of a plan.
    ///
    /// # Errors
    /// When a block does not fit.
    pub fn cost(&mut self, plan: &Plan) -> Result<Cost, ShapeError> {
        let mut total = Cost::default();
        self.0.each(plan, |alone| Ok::<_, ShapeError>(graph(alone)), |cost| total = total + cost)?;
        Ok(total)
    }
}
