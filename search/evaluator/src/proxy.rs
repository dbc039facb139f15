//! Zero-cost proxies: numbers about an untrained network that are said to foretell its accuracy.
//!
//! Each is computed on fresh weights that depend on the seed and the tensors' names alone, so that equal networks get
//! equal numbers.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mobilenas_space::ir::{Graph, Op, ParamSpec};
use mobilenas_torch::{Mode, Names, Net, NetError, Owned, ParamStore, Params};
use tch::{Device, Kind, Tensor};

use mobilenas_data::Labels;
use mobilenas_task::{Outputs, Targets, Task};

use crate::EvalError;

/// Images that a proxy looks at.
pub const IMAGES: usize = 64;

/// Weights of their own, without sign and in float64: the flow through many layers leaves float32.
struct Absolute(BTreeMap<String, Tensor>);

impl Params for Absolute {
    fn get(&self, spec: &ParamSpec) -> Result<Tensor, NetError> {
        let missing = || NetError::Missing { name: spec.name.clone(), expected: spec.shape() };
        self.0.get(&spec.name).map(Tensor::shallow_clone).ok_or_else(missing)
    }
}

fn fresh(graph: &Graph, seed: u64) -> Result<ParamStore, EvalError> {
    Ok(ParamStore::init(graph, Names::Standalone, seed, Device::Cpu)?)
}

/// Synaptic flow (Tanaka et al., 2020): the sum over all weights of |weight × gradient| where every weight is made
/// positive and the image is all ones, its natural logarithm.
///
/// Its theory is for networks without norms and with ReLU; batch norms here pass values on unchanged, other norms and
/// attention do not.
///
/// # Errors
/// When libtorch refuses.
pub fn synflow(graph: &Arc<Graph>, seed: u64) -> Result<f64, EvalError> {
    let store = fresh(graph, seed)?;
    let (mut all, mut learnt) = (BTreeMap::new(), Vec::new());
    for spec in graph.params() {
        let t = store.entry(&spec.name)?.tensor.detach();
        let t = if spec.role.trainable() {
            let t = t.f_abs().and_then(|t| t.f_to_kind(Kind::Double)).and_then(|t| t.f_set_requires_grad(true));
            let t = t.map_err(EvalError::from)?;
            learnt.push(t.shallow_clone());
            t
        } else if t.kind() == Kind::Float {
            t.f_to_kind(Kind::Double).map_err(EvalError::from)?
        } else {
            t
        };
        all.insert(spec.name, t);
    }
    let net = Net::bind(graph.clone(), &Absolute(all))?;
    let dims = graph.input().dims.iter().map(|d| i64::from(*d));
    let size: Vec<i64> = std::iter::once(1).chain(dims).collect();
    let ones = Tensor::f_ones(&size, (Kind::Double, Device::Cpu)).map_err(EvalError::from)?;
    // All that the network gives: a detector's boxes and scores.
    let sums =
        net.outputs(&ones, Mode::Eval)?.into_iter().map(|out| out.f_sum(Kind::Double)).collect::<Result<Vec<_>, _>>();
    let flow = sums.and_then(|all| Tensor::f_stack(&all, 0)?.f_sum(Kind::Double)).map_err(EvalError::from)?;
    let gradients = Tensor::f_run_backward(&[flow], &learnt, false, false).map_err(EvalError::from)?;
    let mut total = 0.0;
    for (t, g) in learnt.iter().zip(&gradients) {
        if g.defined() {
            let part = t.f_mul(g).and_then(|p| p.f_abs()).and_then(|p| p.f_sum(Kind::Double));
            total += part.and_then(f64::try_from).map_err(EvalError::from)?;
        }
    }
    Ok(total.ln())
}

/// NASWOT (Mellor et al., 2021): the log-determinant of how alike images switch the activations, on the signs of what
/// enters them, since these networks have few ReLUs.
///
/// # Errors
/// When libtorch refuses.
pub fn nwot(graph: &Arc<Graph>, images: &Tensor, seed: u64) -> Result<f64, EvalError> {
    let store = fresh(graph, seed)?;
    let net = Net::bind(graph.clone(), &Owned(&store))?;
    let acts = graph.nodes.iter().filter(|n| matches!(n.op, Op::Act(_)));
    let entering: BTreeSet<usize> = acts.flat_map(|n| n.inputs.iter().map(|i| *i as usize)).collect();
    let n = images.size()[0];
    let kernel = RefCell::new(Tensor::f_zeros([n, n], (Kind::Double, Device::Cpu)).map_err(EvalError::from)?);
    let _guard = tch::no_grad_guard();
    net.forward_with_hook(images, Mode::Train, |i, t| {
        if !entering.contains(&i) {
            return Ok(());
        }
        let alike = || -> Result<Tensor, tch::TchError> {
            let on = t.f_reshape([n, -1])?.f_gt(0.0)?.f_to_kind(Kind::Float)?;
            let off = on.f_neg()?.f_add_scalar(1.0)?;
            on.f_matmul(&on.f_tr()?)?.f_add(&off.f_matmul(&off.f_tr()?)?)?.f_to_kind(Kind::Double)
        };
        let wrong = |e: tch::TchError| NetError::Torch { at: "nwot".into(), message: e.to_string() };
        let sum = alike().and_then(|a| kernel.borrow().f_add(&a)).map_err(wrong)?;
        *kernel.borrow_mut() = sum;
        Ok(())
    })?;
    let (_, log_det) = kernel.into_inner().f_slogdet().map_err(EvalError::from)?;
    f64::try_from(log_det).map_err(EvalError::from)
}

/// Norm of the gradient of the task's loss of one batch, over all that is learnt.
///
/// # Errors
/// When libtorch refuses.
pub fn grad_norm(
    graph: &Arc<Graph>,
    images: &Tensor,
    (task, targets): (&dyn Task, &Targets),
    seed: u64,
) -> Result<f64, EvalError> {
    let store = fresh(graph, seed)?;
    let net = Net::bind(graph.clone(), &Owned(&store))?;
    let specs = graph.params();
    let learnt = specs.iter().filter(|s| s.role.trainable()).map(|s| Ok(store.entry(&s.name)?.tensor.shallow_clone()));
    let learnt: Vec<Tensor> = learnt.collect::<Result<_, NetError>>()?;
    let outputs = match task.labels() {
        Labels::Classes => Outputs::one(net.forward(images, Mode::Train)?),
        Labels::Boxes | Labels::ClassMaps => Outputs::of(graph, net.heads(images, Mode::Train)?),
        Labels::Masks => Outputs::run(&net, images, Mode::Train)?,
    };
    let loss = task.loss(&outputs, targets, 0.0)?;
    let gradients = Tensor::f_run_backward(&[loss], &learnt, false, false).map_err(EvalError::from)?;
    let mut squares = 0.0;
    for g in gradients.iter().filter(|g| g.defined()) {
        let part = g.f_square().and_then(|s| s.f_sum(Kind::Double)).and_then(f64::try_from);
        squares += part.map_err(EvalError::from)?;
    }
    Ok(squares.sqrt())
}
