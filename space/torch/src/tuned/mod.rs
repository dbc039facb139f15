//! A frozen network made fast on this machine: for each step the fastest of several ways, timed by a [`Judge`].
//!
//! The graph stays the one description. [`plan`] groups its nodes into steps; for each step there are ways that give the
//! same numbers within rounding; the ways are tried on the values that the step meets, in the order of the graph.

mod candidate;
mod conv;
mod linear;
mod node;
mod plan;
mod weights;

use std::rc::Rc;

use mobilenas_native::Inference;
use mobilenas_space::ir::{Groups, Op};
use tch::{Device, Kind, TchError, Tensor};

use crate::error::{NetError, torch};
use crate::net::Net;
use crate::{exec, forms};
use candidate::{Candidate, Run};
use plan::{Post, Step, Work};

/// What decides between ways; has the clock.
pub trait Judge {
    /// The way that was chosen before under this key.
    fn known(&mut self, key: &str) -> Option<String>;

    /// The fastest of several ways, by position. `run` runs one of them once.
    ///
    /// # Errors
    /// What `run` gives back.
    fn fastest(
        &mut self,
        key: &str,
        names: &[&str],
        run: &mut dyn FnMut(usize) -> Result<(), NetError>,
    ) -> Result<usize, NetError>;

    /// Names of ways in the order in which they are taken, the first that works, if nothing is to be tried.
    fn order(&self) -> Option<&'static [&'static str]> {
        None
    }
}

/// Takes the same ways everywhere, those that serve large batches of small images, so that results are the same too.
#[derive(Clone, Copy, Debug)]
pub struct Fixed;

impl Judge for Fixed {
    fn known(&mut self, _: &str) -> Option<String> {
        None
    }

    fn fastest(
        &mut self,
        _: &str,
        _: &[&str],
        _: &mut dyn FnMut(usize) -> Result<(), NetError>,
    ) -> Result<usize, NetError> {
        Ok(0)
    }

    fn order(&self) -> Option<&'static [&'static str]> {
        Some(&["mkldnn_packed_act", "mkldnn_packed", "planes_product", "rows", node::OURS, "fused"])
    }
}

/// What was chosen for one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Path of the node whose value the step makes.
    pub at: String,
    /// What the step does: its first operation and what is done with it at once.
    pub does: String,
    /// Name of the way.
    pub way: &'static str,
}

struct Ready {
    out: usize,
    inputs: Vec<usize>,
    run: Run,
    choice: Choice,
    /// The values that nothing reads after it.
    done: Vec<usize>,
}

/// A frozen network whose steps are chosen.
pub struct Tuned {
    channels: u32,
    nodes: usize,
    output: usize,
    steps: Vec<Ready>,
}

impl std::fmt::Debug for Tuned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.steps.iter().map(|s| &s.choice)).finish()
    }
}

fn gone(at: &str) -> NetError {
    NetError::Missing { name: at.to_string(), expected: vec![] }
}

/// Whether a step ran.
type Done = Result<(), NetError>;

impl Tuned {
    /// Chooses the steps of a frozen network for batches of so many images.
    ///
    /// # Errors
    /// When libtorch refuses every way of a step.
    pub fn new(frozen: &Net, batch: usize, judge: &mut dyn Judge) -> Result<Tuned, NetError> {
        let dims = frozen.graph().input().dims.iter().map(|d| i64::from(*d));
        let size: Vec<i64> = std::iter::once(batch as i64).chain(dims).collect();
        let images = Tensor::f_randn(size.as_slice(), (Kind::Float, Device::Cpu)).map_err(torch("images"))?;
        Ok(Tuned::on(frozen, &images, judge)?.0)
    }

    /// Chooses the steps for batches of the size of these images, and gives their logits.
    ///
    /// # Errors
    /// When libtorch refuses every way of a step.
    pub fn on(frozen: &Net, images: &Tensor, judge: &mut dyn Judge) -> Result<(Tuned, Tensor), NetError> {
        let _guard = Inference::begin();
        let (graph, batch) = (frozen.graph(), images.size()[0]);
        let steps = plan::plan(graph);
        let lives = Lives::of(graph.nodes.len(), graph.output, &steps, |i| &graph.nodes[i].op);
        let mut values: Vec<Option<Tensor>> = (0..graph.nodes.len()).map(|_| None).collect();
        values[0] = Some(exec::input(images, graph.input().channels()).map_err(torch("input"))?);
        let mut ready = Vec::with_capacity(steps.len());
        for (n, step) in steps.iter().enumerate() {
            let at = graph.nodes[step.out].path.to_string();
            let ins = reads(&values, &step.inputs, &at)?;
            let (key, ways) = ways(frozen, step, &lives.free[n], &ins, batch).map_err(torch(&at))?;
            let (way, run, value) = match judge.order() {
                Some(order) => first(order, &ways, &ins, &at)?,
                None => {
                    let (way, run) = choose(judge, &key, &ways, &ins, &at)?;
                    let value = run(&ins).map_err(torch(&at))?;
                    (way, run, value)
                }
            };
            values[step.out] = Some(value);
            lives.done[n].iter().for_each(|old| values[*old] = None);
            let choice = Choice { at, does: does(step, |i| &graph.nodes[i].op), way };
            let (out, inputs, done) = (step.out, step.inputs.clone(), lives.done[n].clone());
            ready.push(Ready { out, inputs, run, choice, done });
        }
        let logits = values[graph.output].take().ok_or_else(|| gone("output"))?;
        let (channels, nodes) = (graph.input().channels(), graph.nodes.len());
        Ok((Tuned { channels, nodes, output: graph.output, steps: ready }, logits))
    }

    /// What was chosen, step by step.
    pub fn choices(&self) -> impl Iterator<Item = &Choice> {
        self.steps.iter().map(|s| &s.choice)
    }

    /// Runs a batch of images `[B, C, H, W]` to logits `[B, classes]`. A single channel is repeated.
    ///
    /// # Errors
    /// When libtorch refuses a step; the message names it.
    pub fn forward(&self, images: &Tensor) -> Result<Tensor, NetError> {
        self.watch(images, &mut |_, run| run())
    }

    /// The same, each step through `around`, which must run what it is given once: to time it.
    ///
    /// # Errors
    /// When libtorch refuses a step; the message names it.
    pub fn watch(
        &self,
        images: &Tensor,
        around: &mut dyn FnMut(&Choice, &mut dyn FnMut() -> Done) -> Done,
    ) -> Result<Tensor, NetError> {
        let _guard = Inference::begin();
        let mut values: Vec<Option<Tensor>> = (0..self.nodes).map(|_| None).collect();
        values[0] = Some(exec::input(images, self.channels).map_err(torch("input"))?);
        for step in &self.steps {
            let mut out = None;
            {
                let ins = reads(&values, &step.inputs, &step.choice.at)?;
                around(&step.choice, &mut || {
                    out = Some((step.run)(&ins).map_err(|e| torch(&step.choice.at)(e))?);
                    Ok(())
                })?;
            }
            values[step.out] = out;
            for old in &step.done {
                values[*old] = None;
            }
        }
        values[self.output].take().ok_or_else(|| gone("output"))
    }
}

fn reads<'a>(values: &'a [Option<Tensor>], inputs: &[usize], at: &str) -> Result<Vec<&'a Tensor>, NetError> {
    inputs.iter().map(|i| values[*i].as_ref().ok_or_else(|| gone(at))).collect()
}

/// How long values live.
struct Lives {
    /// For each step, the values that nothing reads after it.
    done: Vec<Vec<usize>>,
    /// For each step, which of its inputs may be written to.
    free: Vec<Vec<bool>>,
}

/// Memory that is never written to: the image, tables.
const KEPT: usize = usize::MAX;

impl Lives {
    fn of<'a>(nodes: usize, output: usize, steps: &[Step], op: impl Fn(usize) -> &'a Op) -> Lives {
        let mut last = vec![0; nodes];
        for (n, step) in steps.iter().enumerate() {
            step.inputs.iter().for_each(|i| last[*i] = n);
        }
        last[output] = steps.len();
        let mut done = vec![Vec::new(); steps.len()];
        (0..nodes).filter(|i| last[*i] < steps.len()).for_each(|i| done[last[i]].push(i));
        // The value whose memory a value may lie in.
        let mut root: Vec<usize> = (0..nodes).collect();
        root[0] = KEPT;
        let mut free = Vec::with_capacity(steps.len());
        for (n, step) in steps.iter().enumerate() {
            let may = |i: &usize| {
                let alone = (0..nodes).filter(|u| root[*u] == root[*i]).all(|u| last[u] <= n);
                root[*i] != KEPT && alone && step.inputs.iter().filter(|j| *j == i).count() == 1
            };
            free.push(step.inputs.iter().map(may).collect::<Vec<bool>>());
            if matches!(step.work, Work::Node) {
                root[step.out] = root_of(op(step.out), step, &root);
            }
        }
        Lives { done, free }
    }
}

/// Whose memory the value of a node may lie in. What is computed in place dies with its input, so it counts as new.
fn root_of(op: &Op, step: &Step, root: &[usize]) -> usize {
    match op {
        Op::BiasTable { .. } | Op::Learnt { .. } => KEPT,
        Op::Unfold { .. }
        | Op::Fold { .. }
        | Op::Flatten
        | Op::Slice { .. }
        | Op::SliceHeads { .. }
        | Op::SplitHeads { .. }
        | Op::MergeHeads { .. }
        | Op::Row { .. }
        | Op::Resize { .. }
        | Op::Dropout { .. }
        | Op::DropPath { .. } => step.inputs.first().map_or(step.out, |i| root[*i]),
        Op::Concat | Op::ConcatRows if step.inputs.len() == 1 => root[step.inputs[0]],
        _ => step.out,
    }
}

/// The ways of a step, and the key under which a choice between them holds.
fn ways(
    net: &Net,
    step: &Step,
    free: &[bool],
    ins: &[&Tensor],
    batch: i64,
) -> Result<(String, Vec<Candidate<'static>>), TchError> {
    let op = &net.graph().nodes[step.out].op;
    let Work::Unit(unit) = &step.work else {
        let sizes: Vec<_> = ins.iter().map(|t| (t.size(), t.stride())).collect();
        return Ok((format!("{} {sizes:?}", op.name()), node::candidates(net, step, free, batch)?));
    };
    let (weight, bias) = weights::weights(net, unit)?;
    let (size, post) = (ins[0].size(), written(&unit.post));
    let key = |what: String, last: bool| {
        format!("{what} on {size:?} {} bias {} {post}", if last { "NHWC" } else { "NCHW" }, bias.is_some())
    };
    if let Op::Conv { stride, pad, groups, .. } = net.graph().nodes[unit.head].op {
        let groups = if groups == Groups::Depthwise { size[1] } else { 1 };
        let (stride, pad) = ([i64::from(stride); 2], [i64::from(pad); 2]);
        let last = forms::channels_last(ins[0]);
        let key = key(format!("conv {:?} {stride:?} {pad:?} {groups}", weight.size()), last);
        let conv = conv::Conv { weight, bias, stride, pad, groups, post: unit.post.clone(), size };
        return Ok((key, conv::candidates(&Rc::new(conv), last)));
    }
    let key = key(format!("linear {:?}", weight.size()), true);
    let rows = size.iter().rev().skip(1).product();
    let layer = linear::Linear { weight, bias, post: unit.post.clone(), rows };
    Ok((key, linear::candidates(&Rc::new(layer), false)))
}

/// What a step does, in words.
fn does<'a>(step: &Step, op: impl Fn(usize) -> &'a Op) -> String {
    match &step.work {
        Work::Node => op(step.out).name().to_string(),
        Work::Normalize => "normalize".to_string(),
        Work::WeighedSum => "weighed_sum".to_string(),
        Work::ScaledProduct(_) => "scaled_product".to_string(),
        Work::Unit(u) => format!("{} {}", op(u.head).name(), written(&u.post)).trim_end().to_string(),
    }
}

fn written(post: &[Post]) -> String {
    let one = |p: &Post| match p {
        Post::Act(f) => format!("{f:?}"),
        Post::Add(_) => "Add".to_string(),
    };
    post.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// Ways whose results differ by more than this part of the largest number are not taken.
const AGREE: f64 = 1e-3;

/// The first way that works, in an order of names, the others after these; and what it makes.
fn first(
    order: &[&str],
    ways: &[Candidate],
    ins: &[&Tensor],
    at: &str,
) -> Result<(&'static str, Run, Tensor), NetError> {
    let named = order.iter().filter_map(|name| ways.iter().find(|w| w.name == *name));
    let others = ways.iter().filter(|w| !order.contains(&w.name));
    let mut error = None;
    for way in named.chain(others) {
        match (way.make)().and_then(|run| run(ins).map(|y| (run, y))) {
            Ok((run, y)) => return Ok((way.name, run, y)),
            Err(e) => error = Some(e),
        }
    }
    Err(error.map_or_else(|| gone(at), torch(at)))
}

fn choose(
    judge: &mut dyn Judge,
    key: &str,
    ways: &[Candidate],
    ins: &[&Tensor],
    at: &str,
) -> Result<(&'static str, Run), NetError> {
    let ways: Vec<&Candidate> = ways.iter().filter(|w| w.name != node::OURS).collect();
    if let [only] = ways[..] {
        return Ok((only.name, (only.make)().map_err(torch(at))?));
    }
    let known = judge.known(key).and_then(|name| ways.iter().find(|w| w.name == name));
    if let Some(run) = known.and_then(|w| (w.make)().ok().filter(|run| run(ins).is_ok()).map(|run| (w.name, run))) {
        return Ok(run);
    }
    let (mut made, mut first, mut error): (Vec<(&'static str, Run)>, Option<Tensor>, _) = (Vec::new(), None, None);
    for way in ways {
        match (way.make)().and_then(|run| run(ins).map(|y| (run, y))) {
            Ok((run, y)) => {
                let same = first.as_ref().map_or(Ok(true), |x| agree(x, &y)).map_err(torch(at))?;
                if same {
                    made.push((way.name, run));
                }
                first.get_or_insert(y);
            }
            Err(e) => error = Some(e),
        }
    }
    let best = match made.len() {
        0 => return Err(error.map_or_else(|| gone(at), torch(at))),
        1 => 0,
        _ => {
            let names: Vec<&str> = made.iter().map(|(name, _)| *name).collect();
            judge.fastest(key, &names, &mut |i| made[i].1(ins).map(drop).map_err(torch(at)))?
        }
    };
    Ok(made.swap_remove(best.min(made.len() - 1)))
}

/// Whether two results are the same up to rounding. What is not finite says nothing.
fn agree(x: &Tensor, y: &Tensor) -> Result<bool, TchError> {
    if x.size() != y.size() {
        return Ok(false);
    }
    let most = |t: &Tensor| t.f_abs().and_then(|t| t.f_max()).and_then(f64::try_from);
    let differ = most(&x.f_sub(y)?)? > AGREE * most(x)? + 1e-6;
    Ok(!differ)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
