//! Kernels for the steps that are neither convolutions nor linear layers.

use mobilenas_native::MAX_KEYS;
use mobilenas_space::ir::{Graph, Op};
use tch::{TchError, Tensor};

use super::fusion::{Step, StepKind};
use super::kernel::{Kernel, KernelFn, Out, act};
use crate::error::OpError;
use crate::exec;
use crate::layout::{is_channels_last, nhwc_to_map};
use crate::mode::Mode;
use crate::net::Net;

/// The project's own kernel for attention to few keys. It serves scoring; no engine that is timed takes it.
pub(crate) const FEW_KEYS: &str = "few_keys";

/// The kernels of a step. `writable` are the inputs that may be overwritten.
pub(crate) fn kernels(net: &Net, step: &Step, writable: &[bool], batch: i64) -> Result<Vec<Kernel>, OpError> {
    Ok(match step.kind {
        StepKind::WeightedSum => vec![Kernel::ready("product", weighted_sum)],
        StepKind::ScaledProduct(n) => {
            let scale = f64::from(n).powf(-0.5);
            vec![Kernel::ready("product", move |ins| scaled_product(ins, scale))]
        }
        StepKind::Normalize | StepKind::Node | StepKind::Layer(_) => node_kernels(net, step, writable, batch)?,
    })
}

fn node_kernels(net: &Net, step: &Step, writable: &[bool], batch: i64) -> Result<Vec<Kernel>, OpError> {
    let (graph, own) = (net.graph(), net.own(step.out));
    let node = &graph.nodes[step.out];
    if let Op::Attention { heads, key_dim } = node.op {
        return Ok(attention(graph, step, i64::from(heads), i64::from(key_dim)));
    }
    if let Op::GroupNorm { eps_e7, bias: _ } = node.op {
        let own: &[Tensor] = if matches!(step.kind, StepKind::Normalize) { &[] } else { own };
        let affine = own.iter().map(|t| t.f_view([1, -1, 1, 1])).collect::<Result<Vec<_>, _>>()?;
        return Ok(group_norms(&affine, f64::from(eps_e7) * 1e-7));
    }
    if matches!(node.op, Op::BiasTable { .. }) {
        let run = exec::Run { mode: Mode::Eval, batch, bn_eps: graph.bn_eps() };
        return Ok(vec![constant(exec::node(node, &[], own, run)?.f_contiguous()?)]);
    }
    Ok(vec![in_place(graph, step.out, writable).unwrap_or_else(|| plain(net, step.out, batch))])
}

fn attention(graph: &Graph, step: &Step, heads: i64, key_dim: i64) -> Vec<Kernel> {
    let keys = keys(graph, step.out);
    if keys == Some(1) {
        return vec![Kernel::ready("one_key", |ins| exec::single_key(ins[0], ins[2]))];
    }
    let kernel = move |products| {
        move |ins: &[&Tensor]| exec::attention(ins[0], ins[1], ins[2], ins.get(3).copied(), heads, key_dim, products)
    };
    let mut all = vec![Kernel::ready("fused", kernel(false)), Kernel::ready("products", kernel(true))];
    if step.inputs.len() == 3 && keys.is_some_and(|k| (1..=MAX_KEYS).contains(&(k as usize))) {
        all.push(Kernel::ready(FEW_KEYS, move |ins| exec::few_keys(ins[0], ins[1], ins[2], heads)));
    }
    all
}

/// The number of keys of an attention: rows of its second input.
fn keys(graph: &Graph, at: usize) -> Option<u32> {
    let dims = &graph.nodes[*graph.nodes[at].inputs.get(1)? as usize].value.dims;
    dims.len().checked_sub(2).map(|row| dims[row])
}

fn constant(table: Tensor) -> Kernel {
    Kernel::new("constant", move || {
        let table = table.shallow_clone();
        Ok(Box::new(move |_: &[&Tensor]| Ok(table.shallow_clone())) as KernelFn)
    })
}

/// The kernel that overwrites an input of the result's size, if the operation has one and the input is writable.
fn in_place(graph: &Graph, at: usize, writable: &[bool]) -> Option<Kernel> {
    let node = &graph.nodes[at];
    let free = |k: usize| {
        let same_size = |i: &u32| graph.nodes[*i as usize].value.dims == node.value.dims;
        writable.get(k) == Some(&true) && node.inputs.get(k).is_some_and(same_size)
    };
    let (first, target) = (free(0), usize::from(!free(0)));
    if let (Op::Act(f), true) = (&node.op, first) {
        let f = *f;
        return Some(Kernel::ready("in_place", move |ins| Ok(act(f, ins[0].shallow_clone())?)));
    }
    if let (Op::InvSqrt { n }, true) = (&node.op, first) {
        let scale = f64::from(*n).powf(-0.5);
        return Some(Kernel::ready("in_place", move |ins| Ok(ins[0].shallow_clone().f_mul_scalar_(scale)?)));
    }
    let run: fn(Tensor, &Tensor) -> Result<Tensor, TchError> = if node.op == Op::Add {
        |mut a, b| a.f_add_(b)
    } else if node.op == Op::Mul {
        |mut a, b| a.f_mul_(b)
    } else if node.op == Op::Sub && first {
        |mut a, b| a.f_sub_(b)
    } else {
        return None;
    };
    free(target).then(|| Kernel::ready("in_place", move |ins| Ok(run(ins[target].shallow_clone(), ins[1 - target])?)))
}

/// The kernel of [`Net::forward`].
fn plain(net: &Net, at: usize, batch: i64) -> Kernel {
    let (graph, own): (_, Vec<Tensor>) = (net.graph().clone(), net.own(at).iter().map(Tensor::shallow_clone).collect());
    let run = exec::Run { mode: Mode::Eval, batch, bn_eps: graph.bn_eps() };
    Kernel::new("plain", move || {
        let (graph, own) = (graph.clone(), own.iter().map(Tensor::shallow_clone).collect::<Vec<_>>());
        Ok(Box::new(move |ins: &[&Tensor]| exec::node(&graph.nodes[at], ins, &own, run)) as KernelFn)
    })
}

/// The kernels of a norm over a whole map, with the scale and the shift of each channel that are given.
fn group_norms(affine: &[Tensor], eps: f64) -> Vec<Kernel> {
    let copy = |all: &[Tensor]| all.iter().map(Tensor::shallow_clone).collect::<Vec<_>>();
    let kernel = |name, norm: fn(&Tensor, f64) -> Result<Tensor, TchError>| {
        let affine = copy(affine);
        Kernel::new(name, move || {
            let affine = copy(&affine);
            Ok(Box::new(move |ins: &[&Tensor]| {
                let mut y = norm(ins[0], eps)?;
                if let Some(scale) = affine.first() {
                    y = y.f_mul_(scale)?;
                }
                Ok(match affine.get(1) {
                    Some(shift) => y.f_add_(shift)?,
                    None => y,
                })
            }) as KernelFn)
        })
    };
    let group_norm = |x: &Tensor, eps| x.f_group_norm(1, None::<&Tensor>, None::<&Tensor>, eps, false);
    vec![kernel("layer_norm", norm_as_row), kernel("group_norm", group_norm)]
}

/// Normalises a map as one long row, in the order of its memory.
fn norm_as_row(x: &Tensor, eps: f64) -> Result<Tensor, TchError> {
    let last = is_channels_last(x);
    let rows = if last { x.f_permute([0, 2, 3, 1])? } else { x.shallow_clone() };
    let size = rows.size();
    let row: i64 = size[1..].iter().product();
    let flat = rows.f_reshape([size[0], row])?;
    let y = flat.f_layer_norm([row], None::<&Tensor>, None::<&Tensor>, eps, false)?;
    let y = y.f_view(size.as_slice())?;
    if last { nhwc_to_map(&y) } else { Ok(y) }
}

/// `[B, C, H, W]` and weights `[B, 1, H, W]`: for each row, the weights times the matrix of its positions.
fn weighted_sum(ins: &[&Tensor]) -> Out {
    let (x, w) = (ins[0].f_permute([0, 2, 3, 1])?, ins[1].f_permute([0, 2, 1, 3])?);
    Ok(w.f_matmul(&x)?.f_permute([0, 3, 1, 2])?)
}

/// `scale` times the product of the first two inputs, plus the third.
fn scaled_product(ins: &[&Tensor], scale: f64) -> Out {
    let (a, b, mut plus) = (ins[0], ins[1], ins[2].shallow_clone());
    let &[batch, heads, ..] = &a.size()[..] else { return Err(OpError::Input(a.size())) };
    if plus.dim() == 3 && batch > 1 {
        plus = plus.f_unsqueeze(0)?.f_expand([batch, -1, -1, -1], false)?;
    }
    if plus.dim() == 4 {
        plus = plus.f_reshape([-1, plus.size()[2], plus.size()[3]])?;
    }
    let y = plus.f_baddbmm(&a.f_flatten(0, 1)?, &b.f_flatten(0, 1)?, 1.0, scale)?;
    Ok(y.f_view([batch, heads, -1, y.size()[2]])?)
}
