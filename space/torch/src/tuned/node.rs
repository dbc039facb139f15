//! The ways to run a step that is no convolution and no linear layer.

use std::sync::Arc;

use mobilenas_native::MOST_KEYS;
use mobilenas_space::ir::{Graph, Op};
use tch::{TchError, Tensor};

use super::candidate::{Candidate, Out, Run, act};
use super::plan::{Step, Work};
use crate::exec;
use crate::forms::{channels_last, map_of};
use crate::net::{Mode, Net};

/// A way that is no part of libtorch: it serves scoring, and nothing that is timed takes it.
pub(crate) const OURS: &str = "side_by_side";

/// Epsilon of group norms.
const EPS: f64 = 1e-5;

/// The ways of a step. `free` are the inputs that may be written to.
pub(crate) fn candidates(
    net: &Net,
    step: &Step,
    free: &[bool],
    batch: i64,
) -> Result<Vec<Candidate<'static>>, TchError> {
    let graph = net.graph();
    match step.work {
        Work::Normalize => return Ok(norms(None)),
        Work::WeighedSum => return Ok(vec![Candidate::ready("product", weighed_sum)]),
        Work::ScaledProduct(n) => {
            let scale = f64::from(n).powf(-0.5);
            return Ok(vec![Candidate::ready("product", move |ins| scaled_product(ins, scale))]);
        }
        Work::Node | Work::Unit(_) => {}
    }
    let own: Vec<Tensor> = net.own(step.out).iter().map(Tensor::shallow_clone).collect();
    Ok(match graph.nodes[step.out].op {
        Op::GroupNorm => norms(Some([own[0].f_view([1, -1, 1, 1])?, own[1].f_view([1, -1, 1, 1])?])),
        Op::BiasTable { .. } => {
            let table = exec::node(&graph.nodes[step.out], &[], &own, Mode::Eval, batch)?.f_contiguous()?;
            vec![constant(table)]
        }
        Op::Attention { .. } if keys(graph, step.out) == Some(1) => {
            vec![Candidate::ready("one_key", |ins| exec::one_key(ins[0], ins[2]))]
        }
        Op::Attention { heads, key_dim } => {
            let way = move |products| {
                move |ins: &[&Tensor]| {
                    let bias = ins.get(3).copied();
                    exec::attention(ins[0], ins[1], ins[2], bias, i64::from(heads), i64::from(key_dim), products)
                }
            };
            let mut all = vec![Candidate::ready("fused", way(false)), Candidate::ready("products", way(true))];
            if let (3, Some(1..=MOST_KEYS)) = (step.inputs.len(), keys(graph, step.out).map(|k| k as usize)) {
                let heads = i64::from(heads);
                all.push(Candidate::ready(OURS, move |ins| exec::side_by_side(ins[0], ins[1], ins[2], heads)));
            }
            all
        }
        ref op => vec![single(graph, step.out, op, own, free, batch)],
    })
}

/// Keys of the attention at a node: rows of its second input.
fn keys(graph: &Graph, at: usize) -> Option<u32> {
    let dims = &graph.nodes[*graph.nodes[at].inputs.get(1)? as usize].value.dims;
    dims.len().checked_sub(2).map(|row| dims[row])
}

fn constant(table: Tensor) -> Candidate<'static> {
    Candidate::new("constant", move || {
        let table = table.shallow_clone();
        Ok(Box::new(move |_: &[&Tensor]| Ok(table.shallow_clone())) as Run)
    })
}

/// The one way of the other operations: in place where the value that is read is read by nothing else.
fn single(graph: &Arc<Graph>, at: usize, op: &Op, own: Vec<Tensor>, free: &[bool], batch: i64) -> Candidate<'static> {
    let node = &graph.nodes[at];
    let whole = |k: usize| {
        let fits = |i: &u32| graph.nodes[*i as usize].value.dims == node.value.dims;
        free.get(k) == Some(&true) && node.inputs.get(k).is_some_and(fits)
    };
    match *op {
        Op::Act(f) if whole(0) => Candidate::ready("in_place", move |ins| act(f, ins[0].shallow_clone())),
        Op::InvSqrt { n } if whole(0) => {
            let by = f64::from(n).powf(-0.5);
            Candidate::ready("in_place", move |ins| ins[0].shallow_clone().f_mul_scalar_(by))
        }
        Op::Add if whole(0) => Candidate::ready("in_place", |ins| ins[0].shallow_clone().f_add_(ins[1])),
        Op::Add if whole(1) => Candidate::ready("in_place", |ins| ins[1].shallow_clone().f_add_(ins[0])),
        Op::Mul if whole(0) => Candidate::ready("in_place", |ins| ins[0].shallow_clone().f_mul_(ins[1])),
        Op::Mul if whole(1) => Candidate::ready("in_place", |ins| ins[1].shallow_clone().f_mul_(ins[0])),
        Op::Sub if whole(0) => Candidate::ready("in_place", |ins| ins[0].shallow_clone().f_sub_(ins[1])),
        _ => {
            let graph = graph.clone();
            Candidate::new("plain", move || {
                let (graph, own) = (graph.clone(), own.iter().map(Tensor::shallow_clone).collect::<Vec<_>>());
                Ok(Box::new(move |ins: &[&Tensor]| {
                    let node = &graph.nodes[at];
                    exec::node(node, ins, &own, Mode::Eval, batch)
                }) as Run)
            })
        }
    }
}

/// The ways of a norm over a whole map, with a scale and a shift of each channel if given.
fn norms(learnt: Option<[Tensor; 2]>) -> Vec<Candidate<'static>> {
    let way = |name, norm: fn(&Tensor) -> Out| {
        let learnt = learnt.as_ref().map(|l| l.each_ref().map(Tensor::shallow_clone));
        Candidate::new(name, move || {
            let learnt = learnt.as_ref().map(|l| l.each_ref().map(Tensor::shallow_clone));
            Ok(Box::new(move |ins: &[&Tensor]| {
                let mut y = norm(ins[0])?;
                match &learnt {
                    Some([scale, shift]) => y.f_mul_(scale)?.f_add_(shift),
                    None => Ok(y),
                }
            }) as Run)
        })
    };
    vec![
        way("layer_norm", over_rows),
        way("group_norm", |x| x.f_group_norm(1, None::<&Tensor>, None::<&Tensor>, EPS, false)),
    ]
}

/// Normalizes a map as one long row, in the order of its memory.
fn over_rows(x: &Tensor) -> Out {
    let last = channels_last(x);
    let rows = if last { x.f_permute([0, 2, 3, 1])? } else { x.shallow_clone() };
    let size = rows.size();
    let row: i64 = size[1..].iter().product();
    let flat = rows.f_reshape([size[0], row])?;
    let y = flat.f_layer_norm([row], None::<&Tensor>, None::<&Tensor>, EPS, false)?.f_view(size.as_slice())?;
    if last { map_of(&y) } else { Ok(y) }
}

/// `[B, C, H, W]` and `[B, 1, H, W]`: for each row, the weights times the matrix of its positions.
fn weighed_sum(ins: &[&Tensor]) -> Out {
    let (x, w) = (ins[0].f_permute([0, 2, 3, 1])?, ins[1].f_permute([0, 2, 1, 3])?);
    w.f_matmul(&x)?.f_permute([0, 3, 1, 2])
}

fn scaled_product(ins: &[&Tensor], scale: f64) -> Out {
    let (a, b, mut plus) = (ins[0], ins[1], ins[2].shallow_clone());
    let &[batch, heads, ..] = &a.size()[..] else { return Err(crate::forms::misfit(a)) };
    if plus.dim() == 3 && batch > 1 {
        plus = plus.f_unsqueeze(0)?.f_expand([batch, -1, -1, -1], false)?;
    }
    if plus.dim() == 4 {
        plus = plus.f_reshape([-1, plus.size()[2], plus.size()[3]])?;
    }
    let y = plus.f_baddbmm(&a.f_flatten(0, 1)?, &b.f_flatten(0, 1)?, 1.0, scale)?;
    y.f_view([batch, heads, -1, y.size()[2]])
}
