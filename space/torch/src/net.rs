//! A network that runs: a graph and its tensors, bound once and then run by index.

use std::sync::Arc;

use mobilenas_space::ir::{ActFn, Graph, Init, Op, ParamSpec, Role, distances, fold_batch_norms};
use tch::{Device, Kind, Tensor};

use crate::error::{NetError, torch};
use crate::exec;
use crate::params::{Frozen, Params};
use crate::weights::Named;

pub use mobilenas_space::ir::BN_EPS;

/// What batch norms and dropout do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// Batch statistics; running statistics stay as they are. For subnets, whose statistics are recalibrated anyway.
    Train,
    /// Batch statistics, which also move the running ones by a tenth.
    TrainTracking,
    /// Batch statistics of the n-th batch, counted from 1: running ones become the mean over the n batches.
    Calibrate(u32),
    /// Running statistics.
    Eval,
}

impl Mode {
    /// Whether dropout drops.
    pub fn trains(self) -> bool {
        matches!(self, Mode::Train | Mode::TrainTracking)
    }
}

/// A network bound to its tensors.
#[derive(Debug)]
pub struct Net {
    graph: Arc<Graph>,
    nodes: Vec<Vec<Tensor>>,
    /// For each node, the values that nothing reads after it.
    done: Vec<Vec<usize>>,
    /// For each node, the one that alone reads its value.
    alone: Vec<Option<usize>>,
    /// Precision of the heavy operations, if another than the tensors'.
    heavy: Option<Kind>,
}

/// The index tensor of a table of distances.
pub(crate) fn index_of(p: &ParamSpec) -> Result<Tensor, NetError> {
    let Init::Distances { h, w, stride } = p.init else {
        return Err(NetError::Missing { name: p.name.clone(), expected: p.shape() });
    };
    let index = Tensor::f_from_slice(&distances(h, w, stride)).and_then(|t| t.f_reshape(p.shape()));
    index.map_err(torch(&p.name))
}

impl Net {
    /// Takes each tensor of the graph from `params`, once.
    ///
    /// # Errors
    /// When a tensor is missing or does not fit.
    pub fn bind(graph: Arc<Graph>, params: &dyn Params) -> Result<Net, NetError> {
        let mut nodes = Vec::with_capacity(graph.nodes.len());
        for i in 0..graph.nodes.len() {
            let mut own = graph.node_params(i).iter().map(|p| params.get(p)).collect::<Result<Vec<_>, _>>()?;
            if let Op::BiasTable { h, w, stride, index: false, .. } = graph.nodes[i].op {
                let index = Tensor::f_from_slice(&distances(h, w, stride)).map_err(torch("indexing distances"))?;
                own.push(match own.first() {
                    Some(table) => index.f_to_device(table.device()).map_err(torch("indexing distances"))?,
                    None => index,
                });
            }
            nodes.push(own);
        }
        let (done, alone) = (last_uses(&graph), only_readers(&graph));
        Ok(Net { graph, nodes, done, alone, heavy: None })
    }

    /// The graph.
    pub fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// Where its tensors lie.
    pub fn device(&self) -> Device {
        self.nodes.iter().flatten().next().map_or(Device::Cpu, Tensor::device)
    }

    /// The tensors of one node, as they are bound.
    pub(crate) fn own(&self, node: usize) -> &[Tensor] {
        &self.nodes[node]
    }

    /// Runs convolutions, linear layers and products in another precision; weights, norms and logits stay in theirs.
    pub fn with_heavy(mut self, kind: Kind) -> Net {
        self.heavy = Some(kind);
        self
    }

    /// Path of the first node whose value is not finite, if any, and the value.
    ///
    /// # Errors
    /// When libtorch refuses an operation.
    pub fn first_not_finite(&self, images: &Tensor, mode: Mode) -> Result<Option<String>, NetError> {
        let found = std::cell::RefCell::new(None);
        let _guard = tch::no_grad_guard();
        let look = |i: usize, t: &Tensor| {
            if found.borrow().is_none() {
                let finite = t.f_isfinite().and_then(|f| f.f_all()).and_then(bool::try_from);
                if !finite.map_err(torch("looking for what is not finite"))? {
                    *found.borrow_mut() = Some(self.graph.nodes[i].path.to_string());
                }
            }
            Ok(())
        };
        let _ = self.run(images, mode, &[self.graph.output], look)?;
        Ok(found.into_inner())
    }

    /// Runs a batch and shows the value of each node, by its position in the graph.
    ///
    /// # Errors
    /// When libtorch refuses an operation, or what `look` gives back.
    pub fn watch(
        &self,
        images: &Tensor,
        mode: Mode,
        look: impl Fn(usize, &Tensor) -> Result<(), NetError>,
    ) -> Result<(), NetError> {
        self.run(images, mode, &[self.graph.output], look).map(drop)
    }

    /// The learnt tensors and statistics of each node, with their specifications.
    pub fn tensors(&self) -> Vec<Vec<(ParamSpec, Tensor)>> {
        let pair = |(i, own): (usize, &Vec<Tensor>)| {
            self.graph.node_params(i).into_iter().zip(own.iter().map(Tensor::shallow_clone)).collect()
        };
        self.nodes.iter().enumerate().map(pair).collect()
    }

    /// The learnt tensors and statistics by the names of the stand-alone network, detached.
    pub fn named(&self) -> Named {
        self.tensors().into_iter().flatten().map(|(p, t)| (p.name, t.detach())).collect()
    }

    /// The network as it is deployed: batch norms folded, tensors detached and copied.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn freeze(&self) -> Result<Net, NetError> {
        let folded = fold_batch_norms(&self.graph);
        let frozen = Frozen::new(&folded, &self.tensors())?;
        Net::bind(Arc::new(folded.graph), &frozen)
    }

    /// Runs a batch of images `[B, C, H, W]` to logits `[B, classes]`. A single channel is repeated.
    ///
    /// # Errors
    /// When libtorch refuses an operation; the message names it.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Result<Tensor, NetError> {
        let mut values = self.run(images, mode, &[self.graph.output], |_, _| Ok(()))?;
        values.pop().ok_or_else(|| NetError::Missing { name: "output".into(), expected: vec![] })
    }

    /// Runs a batch to the logits of each classifier head.
    ///
    /// # Errors
    /// When libtorch refuses an operation; the message names it.
    pub fn heads(&self, images: &Tensor, mode: Mode) -> Result<Vec<Tensor>, NetError> {
        self.run(images, mode, &self.graph.heads, |_, _| Ok(()))
    }

    /// Runs a batch and checks that every value has the size the graph says.
    ///
    /// # Errors
    /// The first node that disagrees.
    pub fn check(&self, images: &Tensor) -> Result<Tensor, NetError> {
        let batch = images.size()[0];
        let agree = |i: usize, t: &Tensor| {
            let node = &self.graph.nodes[i];
            let dims = node.value.dims.iter().map(|d| i64::from(*d));
            // A table of biases is the same for every image and has no batch.
            let batch = (!matches!(node.op, Op::BiasTable { .. })).then_some(batch);
            let expected: Vec<i64> = batch.into_iter().chain(dims).collect();
            match t.size() == expected {
                true => Ok(()),
                false => Err(NetError::Disagree { at: node.path.to_string(), found: t.size(), expected }),
            }
        };
        let mut values = self.run(images, Mode::Eval, &[self.graph.output], agree)?;
        values.pop().ok_or_else(|| NetError::Missing { name: "output".into(), expected: vec![] })
    }

    fn run(
        &self,
        images: &Tensor,
        mode: Mode,
        wanted: &[usize],
        look: impl Fn(usize, &Tensor) -> Result<(), NetError>,
    ) -> Result<Vec<Tensor>, NetError> {
        // Activations that the norm before them has already done.
        let mut applied = vec![false; self.graph.nodes.len()];
        let mut values: Vec<Option<Tensor>> = Vec::with_capacity(self.graph.nodes.len());
        values.push(Some(exec::input(images, self.graph.input().channels()).map_err(torch("input"))?));
        for (i, node) in self.graph.nodes.iter().enumerate().skip(1) {
            let gone = || NetError::Missing { name: node.path.to_string(), expected: vec![] };
            let ins: Vec<&Tensor> =
                node.inputs.iter().map(|j| values[*j as usize].as_ref().ok_or_else(gone)).collect::<Result<_, _>>()?;
            let batch = images.size()[0];
            let out = match (mode, self.heavy) {
                (Mode::Calibrate(n), None) if self.is_fresh_map(i, &ins) => {
                    let silu = self.alone[i].filter(|a| self.graph.nodes[*a].op == Op::Act(ActFn::Silu));
                    silu.into_iter().for_each(|a| applied[a] = true);
                    exec::norm_in_place(ins[0], &self.nodes[i], n, silu.is_some())
                }
                (Mode::Calibrate(_), None) if applied[i] => Ok(ins[0].shallow_clone()),
                (_, None) => exec::node(node, &ins, &self.nodes[i], mode, batch),
                (_, Some(kind)) => exec::node_in(kind, node, &ins, &self.nodes[i], mode, batch),
            };
            let out = out.map_err(|e| torch(&node.path)(e))?;
            look(i, &out)?;
            values.push(Some(out));
            for old in &self.done[i] {
                if !wanted.contains(old) {
                    values[*old] = None;
                }
            }
        }
        let take = |i: &usize| values[*i].as_ref().map(Tensor::shallow_clone);
        let missing = || NetError::Missing { name: "output".into(), expected: vec![] };
        wanted.iter().map(|i| take(i).ok_or_else(missing)).collect()
    }

    /// The network on other tensors, node by node.
    fn with_tensors(&self, nodes: Vec<Vec<Tensor>>) -> Net {
        let (graph, done, alone) = (self.graph.clone(), self.done.clone(), self.alone.clone());
        Net { graph, nodes, done, alone, heavy: self.heavy }
    }

    /// Whether a node is a batch norm that may write over what it reads: a map that a convolution made for it alone.
    fn is_fresh_map(&self, i: usize, ins: &[&Tensor]) -> bool {
        let node = &self.graph.nodes[i];
        let made_for_it = |j: usize| self.alone[j] == Some(i) && matches!(self.graph.nodes[j].op, Op::Conv { .. });
        node.op == Op::BatchNorm && made_for_it(node.inputs[0] as usize) && exec::fits_one_thread(ins[0])
    }

    /// Estimates the batch norms' statistics afresh from batches of images, in order.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn recalibrate<'a>(&self, batches: impl Iterator<Item = &'a Tensor>) -> Result<(), NetError> {
        let _guard = tch::no_grad_guard();
        for (n, batch) in (1u32..).zip(batches) {
            // Only the statistics that the pass leaves behind are wanted.
            let _ = self.forward(batch, Mode::Calibrate(n))?;
        }
        Ok(())
    }

    /// The network with running statistics of its own, which are copies; the rest is shared.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn twin(&self) -> Result<Net, NetError> {
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for (i, own) in self.nodes.iter().enumerate() {
            let params = self.graph.node_params(i);
            let one = |(k, t): (usize, &Tensor)| match params.get(k).map(|p| p.role) {
                Some(Role::Statistic) => t.f_zeros_like().and_then(|mut new| new.f_copy_(t).map(|()| new)),
                _ => Ok(t.shallow_clone()),
            };
            let own = own.iter().enumerate().map(one).collect::<Result<Vec<_>, _>>();
            nodes.push(own.map_err(torch("copying statistics"))?);
        }
        Ok(self.with_tensors(nodes))
    }

    /// Sets the running statistics to the mean of those of twins, each weighed.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn mean_of(&self, parts: &[(u32, Net)]) -> Result<(), NetError> {
        let _guard = tch::no_grad_guard();
        let all: f64 = parts.iter().map(|(n, _)| f64::from(*n)).sum();
        for (i, own) in self.nodes.iter().enumerate() {
            for (k, p) in self.graph.node_params(i).iter().enumerate() {
                if p.role != Role::Statistic || p.axes.is_empty() {
                    continue;
                }
                let mean = || {
                    let mut mean = own[k].f_zeros_like()?;
                    for (n, part) in parts {
                        mean = mean.f_add(&part.nodes[i][k].f_mul_scalar(f64::from(*n) / all)?)?;
                    }
                    own[k].shallow_clone().f_copy_(&mean)
                };
                mean().map_err(torch(&p.name))?;
            }
        }
        Ok(())
    }

    /// The network in another precision.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn to_kind(&self, kind: Kind) -> Result<Net, NetError> {
        let convert = |t: &Tensor| match t.is_floating_point() {
            true => t.f_to_kind(kind),
            false => Ok(t.shallow_clone()),
        };
        let nodes = self.nodes.iter().map(|own| own.iter().map(convert).collect::<Result<Vec<_>, _>>());
        let nodes = nodes.collect::<Result<_, _>>().map_err(torch("changing precision"))?;
        Ok(self.with_tensors(nodes))
    }
}

/// The one node that reads a value, if it is one and the value is no result.
fn only_readers(graph: &Graph) -> Vec<Option<usize>> {
    let mut readers = vec![Vec::new(); graph.nodes.len()];
    for (i, node) in graph.nodes.iter().enumerate() {
        node.inputs.iter().for_each(|j| readers[*j as usize].push(i));
    }
    let result = |i: usize| i == graph.output || graph.heads.contains(&i);
    let only = |(i, all): (usize, Vec<usize>)| if all.len() == 1 && !result(i) { all.first().copied() } else { None };
    readers.into_iter().enumerate().map(only).collect()
}

fn last_uses(graph: &Graph) -> Vec<Vec<usize>> {
    let mut last = vec![None; graph.nodes.len()];
    for (i, node) in graph.nodes.iter().enumerate() {
        for input in &node.inputs {
            last[*input as usize] = Some(i);
        }
    }
    let mut done = vec![Vec::new(); graph.nodes.len()];
    for (value, reader) in last.into_iter().enumerate() {
        if let Some(r) = reader {
            done[r].push(value);
        }
    }
    done
}
