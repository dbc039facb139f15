//! A frozen network tuned for this machine: for each step the fastest of several kernels, as a [`KernelSelector`] says.
//!
//! The graph stays the one description. [`fusion`] fuses its nodes into steps; for each step there are kernels that give the
//! same numbers within rounding; they are tried on the values that the step reads, in the order of the graph.

mod conv;
mod fusion;
mod kernel;
mod linear;
mod liveness;
mod node;
mod select;
mod weights;

use std::rc::Rc;
use std::sync::Arc;

use mobilenas_native::InferenceMode;
use mobilenas_space::ir::{Graph, Op, Value};
use tch::{Device, Kind, Tensor};

pub use select::{FixedKernels, KernelSelector};

use crate::error::{NetError, OpError, op, torch};
use crate::input;
use crate::layout::is_channels_last;
use crate::net::Net;
use fusion::{PostOp, Step, StepKind};
use kernel::{Kernel, KernelFn};
use liveness::Liveness;

/// The kernel of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelChoice {
    /// Path of the node whose value the step computes.
    pub at: String,
    /// The step: its first operation and the post-ops fused into it.
    pub step: String,
    /// Name of the kernel.
    pub kernel: &'static str,
}

/// A step with its kernel.
struct BoundStep {
    out: usize,
    inputs: Vec<usize>,
    run: KernelFn,
    choice: KernelChoice,
    /// The values whose last reader it is.
    last_read: Vec<usize>,
}

/// A frozen network with a kernel for each step.
pub struct TunedNet {
    graph: Arc<Graph>,
    outputs: Vec<usize>,
    steps: Vec<BoundStep>,
}

impl std::fmt::Debug for TunedNet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.steps.iter().map(|s| &s.choice)).finish()
    }
}

/// What running a step gives back.
type StepResult = Result<(), NetError>;

/// Runs a step, which it is given as a function.
type Hook<'a> = dyn FnMut(&KernelChoice, &mut dyn FnMut() -> StepResult) -> StepResult + 'a;

impl TunedNet {
    /// Selects kernels for batches of so many images.
    ///
    /// # Errors
    /// When no kernel of a step works.
    pub fn new(frozen: &Net, batch: usize, selector: &mut dyn KernelSelector) -> Result<TunedNet, NetError> {
        let random = |value: &Value| {
            let dims = value.dims.iter().map(|d| i64::from(*d));
            let size: Vec<i64> = std::iter::once(batch as i64).chain(dims).collect();
            Tensor::f_randn(size.as_slice(), (Kind::Float, Device::Cpu)).map_err(torch("images"))
        };
        let inputs = frozen.graph().inputs().map(random).collect::<Result<Vec<_>, _>>()?;
        Ok(TunedNet::on_all(frozen, &inputs.iter().collect::<Vec<_>>(), selector)?.0)
    }

    /// Selects kernels for batches of the size of these images, and gives their first output: of a classifier, the logits.
    ///
    /// # Errors
    /// When no kernel of a step works.
    pub fn on(
        frozen: &Net,
        images: &Tensor,
        selector: &mut dyn KernelSelector,
    ) -> Result<(TunedNet, Tensor), NetError> {
        TunedNet::on_all(frozen, &[images], selector)
    }

    fn on_all(
        frozen: &Net,
        inputs: &[&Tensor],
        selector: &mut dyn KernelSelector,
    ) -> Result<(TunedNet, Tensor), NetError> {
        let _guard = InferenceMode::begin();
        let graph = frozen.graph();
        let mut values = Values::new(graph, inputs)?;
        let batch = inputs[0].size()[0];
        let outputs = graph.outputs.iter().map(|o| o.node).collect();
        let steps = fusion::fuse(graph);
        let liveness = Liveness::of(graph, &steps);
        let mut bound = Vec::with_capacity(steps.len());
        for (n, step) in steps.into_iter().enumerate() {
            let at = graph.nodes[step.out].path.to_string();
            let ins = values.read(&step.inputs, &at)?;
            let (key, kernels) = kernels(frozen, &step, &liveness.writable[n], &ins, batch).map_err(op(&at))?;
            let selected = select::select(selector, &key, &kernels, &ins, &at)?;
            let last_read = liveness.last_read[n].clone();
            values.write(step.out, selected.value, &last_read);
            let choice = KernelChoice { at, step: describe(graph, &step), kernel: selected.name };
            bound.push(BoundStep { out: step.out, inputs: step.inputs, run: selected.run, choice, last_read });
        }
        let first = values.output(graph.output())?;
        Ok((TunedNet { graph: graph.clone(), outputs, steps: bound }, first))
    }

    /// The kernel of each step.
    pub fn choices(&self) -> impl Iterator<Item = &KernelChoice> {
        self.steps.iter().map(|s| &s.choice)
    }

    /// Runs a batch of images `[B, C, H, W]` to its first output: of a classifier, logits `[B, classes]`. A single channel is
    /// repeated.
    ///
    /// # Errors
    /// When a step fails; the message names it.
    pub fn forward(&self, images: &Tensor) -> Result<Tensor, NetError> {
        self.forward_with_hook(images, &mut |_, run| run())
    }

    /// Runs a block, which may read several values, to its output.
    ///
    /// # Errors
    /// When there is not one value for each that it reads, or a step fails.
    pub fn forward_all(&self, inputs: &[Tensor]) -> Result<Tensor, NetError> {
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        self.run(&inputs, &mut |_, run| run())?.output(self.outputs[0])
    }

    /// Runs a batch to all outputs, in the order of the graph, which names them.
    ///
    /// # Errors
    /// When a step fails; the message names it.
    pub fn outputs(&self, images: &Tensor) -> Result<Vec<Tensor>, NetError> {
        let values = self.run(&[images], &mut |_, run| run())?;
        self.outputs.iter().map(|o| values.output(*o)).collect()
    }

    /// [`TunedNet::forward`] with each step run by `hook`, which must call its argument once and may time it.
    ///
    /// # Errors
    /// When a step fails; the message names it.
    pub fn forward_with_hook(&self, images: &Tensor, hook: &mut Hook) -> Result<Tensor, NetError> {
        self.run(&[images], hook)?.output(self.outputs[0])
    }

    fn run(&self, inputs: &[&Tensor], hook: &mut Hook) -> Result<Values, NetError> {
        let _guard = InferenceMode::begin();
        let mut values = Values::new(&self.graph, inputs)?;
        for step in &self.steps {
            let (at, mut out) = (&step.choice.at, None);
            let ins = values.read(&step.inputs, at)?;
            hook(&step.choice, &mut || {
                out = Some((step.run)(&ins).map_err(op(at))?);
                Ok(())
            })?;
            let value = out.ok_or_else(|| NetError::NoValue { at: at.clone() })?;
            values.write(step.out, value, &step.last_read);
        }
        Ok(values)
    }
}

/// The values of nodes, as long as they live.
struct Values(Vec<Option<Tensor>>);

impl Values {
    fn new(graph: &Graph, inputs: &[&Tensor]) -> Result<Values, NetError> {
        let mut values = input::values(graph, inputs)?;
        values.resize_with(graph.nodes.len(), || None);
        Ok(Values(values))
    }

    fn read(&self, nodes: &[usize], at: &str) -> Result<Vec<&Tensor>, NetError> {
        let gone = || NetError::NoValue { at: at.to_string() };
        nodes.iter().map(|i| self.0[*i].as_ref().ok_or_else(gone)).collect()
    }

    /// Stores the value of a node, and frees those that nothing reads any more.
    fn write(&mut self, node: usize, value: Tensor, freed: &[usize]) {
        self.0[node] = Some(value);
        freed.iter().for_each(|old| self.0[*old] = None);
    }

    fn output(&self, node: usize) -> Result<Tensor, NetError> {
        self.0[node].as_ref().map(Tensor::shallow_clone).ok_or_else(|| NetError::NoValue { at: "output".into() })
    }
}

/// The kernels of a step, and the key under which a choice between them holds.
fn kernels(
    net: &Net,
    step: &Step,
    writable: &[bool],
    ins: &[&Tensor],
    batch: i64,
) -> Result<(String, Vec<Kernel>), OpError> {
    let graph = net.graph();
    let StepKind::Layer(fused) = &step.kind else {
        let sizes: Vec<_> = ins.iter().map(|t| (t.size(), t.stride())).collect();
        let op = &graph.nodes[step.out].op;
        return Ok((format!("{} {sizes:?}", op.name()), node::kernels(net, step, writable, batch)?));
    };
    let (weight, bias) = weights::weights(net, fused)?;
    let (size, post) = (ins[0].size(), fused.post.clone());
    let key = |what: String, last: bool| {
        let layout = if last { "NHWC" } else { "NCHW" };
        format!("{what} on {size:?} {layout} bias {} {}", bias.is_some(), post_ops(&fused.post))
    };
    if let Op::Conv { stride, pad, dilation, groups, .. } = graph.nodes[fused.layer].op {
        let (stride, pad) = ([i64::from(stride); 2], groups.pair(pad, 0).map(i64::from));
        let dilation = [i64::from(dilation); 2];
        let groups = i64::from(groups.count(size[1] as u32));
        let last = is_channels_last(ins[0]);
        let key = key(format!("conv {:?} {stride:?} {pad:?} {dilation:?} {groups}", weight.size()), last);
        let conv = conv::Conv { weight, bias, stride, pad, dilation, groups, post, size };
        return Ok((key, conv::kernels(&Rc::new(conv), last)));
    }
    let key = key(format!("linear {:?}", weight.size()), true);
    let rows = size.iter().rev().skip(1).product();
    Ok((key, linear::kernels(&Rc::new(linear::Linear { weight, bias, post, rows }), false)))
}

/// What a step does, for the record.
fn describe(graph: &Graph, step: &Step) -> String {
    let name = |i: usize| graph.nodes[i].op.name();
    match &step.kind {
        StepKind::Node => name(step.out).to_string(),
        StepKind::Normalize => "normalize".to_string(),
        StepKind::WeightedSum => "weighted_sum".to_string(),
        StepKind::ScaledProduct(_) => "scaled_product".to_string(),
        StepKind::Layer(fused) => format!("{} {}", name(fused.layer), post_ops(&fused.post)).trim_end().to_string(),
    }
}

fn post_ops(post: &[PostOp]) -> String {
    let one = |p: &PostOp| match p {
        PostOp::Act(f) => format!("{f:?}"),
        PostOp::Add(_) => "Add".to_string(),
    };
    post.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[path = "../../tests/seeded/mod.rs"]
mod seeded;

#[cfg(test)]
#[path = "../../../tests/covering/mod.rs"]
mod covering;
#[cfg(test)]
#[path = "../../tests/side_by_side/mod.rs"]
mod side_by_side;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
