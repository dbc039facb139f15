//! A network with weights under which rounding stays rounding.

use std::sync::Arc;

use mobilenas_space::ir::{Graph, Op};
use mobilenas_torch::{Formula, Mode, Names, Net, NetError, Owned, ParamStore, formula};
use tch::{Device, Kind};

/// Rounding that a network may make of its own, in parts of its largest logit.
const STEADY: f64 = 1e-5;

/// Weights by the formula. Under those some networks turn a change in the seventh digit into one in the third, whoever
/// computes them: they get random weights, and batch norms to match.
pub fn network(graph: &Arc<Graph>, weights: &Formula) -> Result<Net, NetError> {
    let _guard = tch::no_grad_guard();
    let x = formula::images(4, graph.input().dims[1])?;
    let net = Net::bind(graph.clone(), weights)?;
    let double = net.to_kind(Kind::Double)?.forward(&x.to_kind(Kind::Double), Mode::Eval)?;
    let single = net.forward(&x, Mode::Eval)?.to_kind(Kind::Double);
    let off = (single - &double).abs().max() / double.abs().max();
    if off.double_value(&[]) <= STEADY {
        return Ok(net);
    }
    let store = ParamStore::init(graph, Names::Standalone, 1, Device::Cpu)?;
    let net = Net::bind(graph.clone(), &Owned(&store))?;
    let mut named = net.named();
    // Layer scales begin near 0, and would hide the branches behind them.
    let scales = graph.nodes.iter().enumerate().filter(|(_, n)| matches!(n.op, Op::ChannelScale { .. }));
    for name in scales.flat_map(|(i, _)| graph.node_params(i)).map(|p| p.name) {
        if let Some(scale) = named.get_mut(&name) {
            let _ = scale.fill_(0.5);
        }
    }
    net.recalibrate([&x].into_iter())?;
    Ok(net)
}
