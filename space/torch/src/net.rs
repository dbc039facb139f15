//! A network that runs: a graph and its tensors, bound once and then run by index.

use std::sync::Arc;

use mobilenas_native::{NormAct, ProcessGroup};
use mobilenas_space::ir::{ActFn, Graph, Op, ParamSpec, Role, distances, fold_batch_norms};
use tch::{Device, Kind, Tensor};

use crate::error::{NetError, op, torch};
use crate::exec;
use crate::input;
use crate::mode::Mode;
use crate::params::{Frozen, Params};
use crate::weights::Named;

/// A network bound to its tensors.
#[derive(Debug)]
pub struct Net {
    graph: Arc<Graph>,
    /// The tensors of each node.
    nodes: Vec<Vec<Tensor>>,
    /// For each node, the values whose last reader it is.
    last_read: Vec<Vec<usize>>,
    /// For each node, its only reader.
    only_reader: Vec<Option<usize>>,
    /// Precision of contractions, if another than the tensors'.
    autocast: Option<Kind>,
    /// The ranks over whose batches batch norms are trained, if over more than this process's.
    sync: Option<Arc<ProcessGroup>>,
}

impl Net {
    /// Binds a graph to its tensors, which `params` provides.
    ///
    /// # Errors
    /// When a tensor is missing or does not fit.
    pub fn bind(graph: Arc<Graph>, params: &dyn Params) -> Result<Net, NetError> {
        let mut nodes = Vec::with_capacity(graph.nodes.len());
        for i in 0..graph.nodes.len() {
            let mut own = graph.node_params(i).iter().map(|p| params.get(p)).collect::<Result<Vec<_>, _>>()?;
            if let Op::BiasTable { h, w, stride, index: false, .. } = graph.nodes[i].op {
                let device = own.first().map_or(Device::Cpu, Tensor::device);
                let index = Tensor::f_from_slice(&distances(h, w, stride)).and_then(|t| t.f_to_device(device));
                own.push(index.map_err(torch(&graph.nodes[i].path))?);
            }
            nodes.push(own);
        }
        let (last_read, only_reader) = (last_reads(&graph), only_readers(&graph));
        Ok(Net { graph, nodes, last_read, only_reader, autocast: None, sync: None })
    }

    /// The graph.
    pub fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// The device of its tensors.
    pub fn device(&self) -> Device {
        self.nodes.iter().flatten().next().map_or(Device::Cpu, Tensor::device)
    }

    /// The tensors of one node.
    pub(crate) fn own(&self, node: usize) -> &[Tensor] {
        &self.nodes[node]
    }

    /// Runs convolutions, linear layers, matrix products and attention in `kind`, as PyTorch's autocast does; weights, norms
    /// and softmax stay in theirs.
    pub fn with_autocast(mut self, kind: Kind) -> Net {
        self.autocast = Some(kind);
        self
    }

    /// Trains batch norms over the batches of all ranks of a group, as PyTorch's `SyncBatchNorm` does.
    pub fn with_sync_batch_norms(mut self, group: Option<Arc<ProcessGroup>>) -> Net {
        self.sync = group;
        self
    }

    /// Path of the first node whose value is not finite, if any.
    ///
    /// # Errors
    /// When an operation fails.
    pub fn first_not_finite(&self, images: &Tensor, mode: Mode) -> Result<Option<String>, NetError> {
        let found = std::cell::RefCell::new(None);
        let _guard = tch::no_grad_guard();
        let hook = |i: usize, t: &Tensor| {
            if found.borrow().is_none() {
                let finite = t.f_isfinite().and_then(|f| f.f_all()).and_then(bool::try_from);
                if !finite.map_err(torch(&self.graph.nodes[i].path))? {
                    *found.borrow_mut() = Some(self.graph.nodes[i].path.to_string());
                }
            }
            Ok(())
        };
        let _ = self.run(&[images], mode, &[self.graph.output()], hook)?;
        Ok(found.into_inner())
    }

    /// Runs a batch and calls `hook` with each node's index and value.
    ///
    /// # Errors
    /// When an operation fails, and those of `hook`.
    pub fn forward_with_hook(
        &self,
        images: &Tensor,
        mode: Mode,
        hook: impl Fn(usize, &Tensor) -> Result<(), NetError>,
    ) -> Result<(), NetError> {
        self.run(&[images], mode, &[self.graph.output()], hook).map(drop)
    }

    /// The parameters and buffers of each node, with their specifications.
    pub fn tensors(&self) -> Vec<Vec<(ParamSpec, Tensor)>> {
        let pair = |(i, own): (usize, &Vec<Tensor>)| {
            self.graph.node_params(i).into_iter().zip(own.iter().map(Tensor::shallow_clone)).collect()
        };
        self.nodes.iter().enumerate().map(pair).collect()
    }

    /// Parameters and buffers by their names in the stand-alone network, detached.
    pub fn named(&self) -> Named {
        self.tensors().into_iter().flatten().map(|(p, t)| (p.name, t.detach())).collect()
    }

    /// The network as it is deployed: batch norms folded, tensors detached and copied.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn freeze(&self) -> Result<Net, NetError> {
        let folded = fold_batch_norms(&self.graph);
        let frozen = Frozen::new(&folded, &self.tensors())?;
        Net::bind(Arc::new(folded.graph), &frozen)
    }

    /// Runs a batch of images `[B, C, H, W]` to its first output: of a classifier, logits `[B, classes]`. A single channel is
    /// repeated.
    ///
    /// # Errors
    /// When an operation fails; the message names it.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Result<Tensor, NetError> {
        let mut values = self.run(&[images], mode, &[self.graph.output()], |_, _| Ok(()))?;
        values.pop().ok_or_else(|| NetError::NoValue { at: "output".into() })
    }

    /// Runs a block, which may read several values, to its output.
    ///
    /// # Errors
    /// When there is not one value for each that it reads, or an operation fails.
    pub fn forward_all(&self, inputs: &[Tensor], mode: Mode) -> Result<Tensor, NetError> {
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        let mut values = self.run(&inputs, mode, &[self.graph.output()], |_, _| Ok(()))?;
        values.pop().ok_or_else(|| NetError::NoValue { at: "output".into() })
    }

    /// Runs a batch to all outputs, in the order of the graph, which names them.
    ///
    /// # Errors
    /// When an operation fails; the message names it.
    pub fn outputs(&self, images: &Tensor, mode: Mode) -> Result<Vec<Tensor>, NetError> {
        let wanted: Vec<usize> = self.graph.outputs.iter().map(|o| o.node).collect();
        self.run(&[images], mode, &wanted, |_, _| Ok(()))
    }

    /// Runs a batch to the logits of each classifier head.
    ///
    /// # Errors
    /// When an operation fails; the message names it.
    pub fn heads(&self, images: &Tensor, mode: Mode) -> Result<Vec<Tensor>, NetError> {
        self.run(&[images], mode, &self.graph.heads, |_, _| Ok(()))
    }

    /// Runs a batch and checks that every value has the size the graph says.
    ///
    /// # Errors
    /// The first node that disagrees.
    pub fn check(&self, images: &Tensor) -> Result<Tensor, NetError> {
        let batch = images.size()[0];
        // A table of biases is the same for every image and has no batch, nor have its slices.
        let mut batched: Vec<bool> = Vec::with_capacity(self.graph.nodes.len());
        for node in &self.graph.nodes {
            let sliced = matches!(node.op, Op::Slice { .. }) && !batched[node.inputs[0] as usize];
            batched.push(!sliced && !matches!(node.op, Op::BiasTable { .. }));
        }
        let agree = |i: usize, t: &Tensor| {
            let node = &self.graph.nodes[i];
            let dims = node.value.dims.iter().map(|d| i64::from(*d));
            let batch = batched[i].then_some(batch * i64::from(node.value.windows));
            let expected: Vec<i64> = batch.into_iter().chain(dims).collect();
            match t.size() == expected {
                true => Ok(()),
                false => Err(NetError::Disagree { at: node.path.to_string(), found: t.size(), expected }),
            }
        };
        let mut values = self.run(&[images], Mode::Eval, &[self.graph.output()], agree)?;
        values.pop().ok_or_else(|| NetError::NoValue { at: "output".into() })
    }

    fn run(
        &self,
        inputs: &[&Tensor],
        mode: Mode,
        wanted: &[usize],
        hook: impl Fn(usize, &Tensor) -> Result<(), NetError>,
    ) -> Result<Vec<Tensor>, NetError> {
        self.run_part((0, input::values(&self.graph, inputs)?), mode, wanted, |_| true, hook)
    }

    /// Runs the nodes for which `part` holds after those whose values are given, which begin at `first`.
    pub(crate) fn run_part(
        &self,
        (first, given): (usize, Vec<Option<Tensor>>),
        mode: Mode,
        wanted: &[usize],
        part: impl Fn(usize) -> bool,
        hook: impl Fn(usize, &Tensor) -> Result<(), NetError>,
    ) -> Result<Vec<Tensor>, NetError> {
        let bn_eps = self.graph.bn_eps();
        let batch = given.iter().flatten().next().map_or(0, |value| value.size()[0]);
        let run = exec::Run { mode, batch, bn_eps };
        // Activations that the batch norm before them has applied.
        let mut applied = vec![false; self.graph.nodes.len()];
        let mut values: Vec<Option<Tensor>> = (0..first).map(|_| None).chain(given).collect();
        let begin = values.len();
        values.resize_with(self.graph.nodes.len(), || None);
        for (i, node) in self.graph.nodes.iter().enumerate().skip(begin).filter(|(i, _)| part(*i)) {
            let freed = || NetError::NoValue { at: node.path.to_string() };
            let ins: Vec<&Tensor> =
                node.inputs.iter().map(|j| values[*j as usize].as_ref().ok_or_else(freed)).collect::<Result<_, _>>()?;
            let out = match (mode, self.autocast) {
                (Mode::Calibrate(n), None) if self.may_overwrite(i, &ins) => {
                    let silu = self.only_reader[i].filter(|a| self.graph.nodes[*a].op == Op::Act(ActFn::Silu));
                    silu.into_iter().for_each(|a| applied[a] = true);
                    exec::batch_norm_in_place(ins[0], &self.nodes[i], n, silu.is_some(), bn_eps)
                }
                (Mode::Train | Mode::TrainTracking, None)
                    if node.op == Op::BatchNorm && exec::fits_batch_norm(ins[0]) =>
                {
                    let act = self.only_reader[i].and_then(|a| Some((a, self.norm_act(a)?)));
                    act.into_iter().for_each(|(a, _)| applied[a] = true);
                    let act = act.map_or(NormAct::None, |(_, act)| act);
                    let how = exec::norm_training(mode == Mode::TrainTracking, bn_eps, self.sync.as_deref());
                    exec::batch_norm_with_act(ins[0], &self.nodes[i], how, act)
                }
                (Mode::Train | Mode::TrainTracking, autocast) if node.op == Op::BatchNorm && self.sync.is_some() => {
                    let how = exec::norm_training(mode == Mode::TrainTracking, bn_eps, self.sync.as_deref());
                    exec::synchronized_batch_norm(ins[0], &self.nodes[i], how, autocast.is_some())
                }
                (_, None) if applied[i] => Ok(ins[0].shallow_clone()),
                (_, None) => exec::node(node, &ins, &self.nodes[i], run),
                (_, Some(kind)) => exec::node_autocast(kind, node, &ins, &self.nodes[i], run),
            };
            let out = out.map_err(op(&node.path))?;
            hook(i, &out)?;
            drop(ins);
            values[i] = Some(out);
            for old in &self.last_read[i] {
                if !wanted.contains(old) {
                    values[*old] = None;
                }
            }
        }
        let take = |i: &usize| values[*i].as_ref().map(Tensor::shallow_clone);
        wanted.iter().map(|i| take(i).ok_or_else(|| NetError::NoValue { at: "output".into() })).collect()
    }

    /// The same network on the same tensors.
    pub(crate) fn same(&self) -> Net {
        self.with_tensors(self.nodes.iter().map(|own| own.iter().map(Tensor::shallow_clone).collect()).collect())
    }

    /// The same network on other tensors.
    fn with_tensors(&self, nodes: Vec<Vec<Tensor>>) -> Net {
        let (graph, last_read, only_reader) = (self.graph.clone(), self.last_read.clone(), self.only_reader.clone());
        Net { graph, nodes, last_read, only_reader, autocast: self.autocast, sync: self.sync.clone() }
    }

    /// The activation of a node, if a batch norm can apply it.
    fn norm_act(&self, i: usize) -> Option<NormAct> {
        let Op::Act(f) = self.graph.nodes[i].op else { return None };
        exec::norm_act(f)
    }

    /// Whether a node is a batch norm that may overwrite its input: the map of a convolution that nothing else reads.
    fn may_overwrite(&self, i: usize, ins: &[&Tensor]) -> bool {
        let node = &self.graph.nodes[i];
        let only_for_it =
            |j: usize| self.only_reader[j] == Some(i) && matches!(self.graph.nodes[j].op, Op::Conv { .. });
        node.op == Op::BatchNorm && only_for_it(node.inputs[0] as usize) && exec::fits_batch_norm(ins[0])
    }

    /// Estimates the running statistics of batch norms anew, from batches of images in order.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn recalibrate<'a>(&self, batches: impl Iterator<Item = &'a Tensor>) -> Result<(), NetError> {
        let _guard = tch::no_grad_guard();
        for (n, batch) in (1u32..).zip(batches) {
            // Run for its effect on the statistics.
            let _ = self.forward(batch, Mode::Calibrate(n))?;
        }
        Ok(())
    }

    /// A replica: its running statistics are copies, everything else is shared.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn replica(&self) -> Result<Net, NetError> {
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

    /// Sets the running statistics to the mean of the replicas' statistics, weighted by the number of batches.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn average_statistics(&self, replicas: &[(u32, Net)]) -> Result<(), NetError> {
        let _guard = tch::no_grad_guard();
        let all: f64 = replicas.iter().map(|(n, _)| f64::from(*n)).sum();
        for (i, own) in self.nodes.iter().enumerate() {
            for (k, p) in self.graph.node_params(i).iter().enumerate() {
                if p.role != Role::Statistic || p.axes.is_empty() {
                    continue;
                }
                let mean = || {
                    let mut mean = own[k].f_zeros_like()?;
                    for (n, replica) in replicas {
                        mean = mean.f_add(&replica.nodes[i][k].f_mul_scalar(f64::from(*n) / all)?)?;
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
    /// When libtorch fails.
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

/// For each node, its only reader, if it has one and is no output.
fn only_readers(graph: &Graph) -> Vec<Option<usize>> {
    let only = |(i, readers): (usize, &[usize])| match readers {
        [reader] if !graph.is_output(i) => Some(*reader),
        _ => None,
    };
    graph.readers().iter().map(|r| r.as_slice()).enumerate().map(only).collect()
}

/// For each node, the values whose last reader it is.
fn last_reads(graph: &Graph) -> Vec<Vec<usize>> {
    let mut last_read = vec![Vec::new(); graph.nodes.len()];
    for (value, readers) in graph.readers().iter().enumerate() {
        if let Some(last) = readers.last() {
            last_read[*last].push(value);
        }
    }
    last_read
}
