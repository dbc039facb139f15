//! Where a network's tensors come from: its own, slices of shared ones, or folded for deployment.
//!
//! Weight sharing is another `Params`, never a second set of layers.

use std::collections::BTreeMap;

use mobilenas_space::ir::{Folded, ParamSpec, Role, Sections, SliceRule};
use tch::Tensor;

use crate::error::{NetError, torch};
use crate::net::BN_EPS;
use crate::store::{Entry, Names, Store};

/// A source of tensors.
pub trait Params {
    /// The tensor of a specification.
    ///
    /// # Errors
    /// When there is none that fits.
    fn get(&self, p: &ParamSpec) -> Result<Tensor, NetError>;
}

/// The tensors of a stand-alone network.
#[derive(Clone, Copy, Debug)]
pub struct Owned<'a>(pub &'a Store);

impl Params for Owned<'_> {
    fn get(&self, p: &ParamSpec) -> Result<Tensor, NetError> {
        let missing = |_| NetError::Missing { name: p.name.clone(), expected: p.shape() };
        let t = &self.0.entry(Names::Own.of(p)).map_err(missing)?.tensor;
        if t.size() != p.shape() {
            return Err(NetError::Shape { name: p.name.clone(), found: t.size(), expected: p.shape() });
        }
        Ok(t.shallow_clone())
    }
}

/// The tensors of a stand-alone network, for the same network at another resolution: the very tensors, statistics too;
/// tables of places are resized from what is learnt, and so have to be bound anew after each step.
#[derive(Clone, Copy, Debug)]
pub struct Resized<'a>(pub &'a Store);

impl Params for Resized<'_> {
    fn get(&self, p: &ParamSpec) -> Result<Tensor, NetError> {
        let missing = |_| NetError::Missing { name: p.name.clone(), expected: p.shape() };
        let entry = self.0.entry(Names::Own.of(p)).map_err(missing)?;
        match p.role {
            Role::Index => crate::net::index_of(p),
            _ => cut_all(entry.tensor.shallow_clone(), &entry.axes, p),
        }
    }
}

/// Slices of a supernet's tensors. What is learnt stays connected to the shared tensors; running statistics are copies
/// that begin afresh, so that no subnet moves another's.
#[derive(Clone, Copy, Debug)]
pub struct Shared<'a>(pub &'a Store);

impl Params for Shared<'_> {
    fn get(&self, p: &ParamSpec) -> Result<Tensor, NetError> {
        let entry = shared_entry(self.0, p)?;
        // A tensor of just this width is cut nowhere, however the width is made up.
        let axes = if self.0.keeps_apart(p) { &p.axes } else { &entry.axes };
        if p.role == Role::Index {
            return crate::net::index_of(p)?.f_to_device(entry.tensor.device()).map_err(torch(&p.shared));
        }
        if !p.role.trainable() {
            let fresh = entry.tensor.f_zeros_like().map_err(torch(&p.shared))?;
            let fresh = cut_all(fresh, axes, p)?;
            // In place: adding a fraction to an integer's tensor would make another type of it.
            let mut fresh = fresh.f_contiguous().map_err(torch(&p.shared))?;
            let begin = if p.name.ends_with("running_var") { 1 } else { 0 };
            return fresh.f_fill_(begin).map_err(torch(&p.shared));
        }
        cut_all(entry.tensor.shallow_clone(), axes, p)
    }
}

pub(crate) fn shared_entry<'a>(store: &'a Store, p: &ParamSpec) -> Result<&'a Entry, NetError> {
    store.shared(p).map_err(|e| match e {
        NetError::Missing { name, .. } => NetError::Missing { name, expected: p.shape() },
        other => other,
    })
}

/// Slices of a supernet's tensors with the running statistics that training left for each width: only of a supernet that
/// keeps batch norms apart. Moving them moves the supernet's.
#[derive(Clone, Copy, Debug)]
pub struct Apart<'a>(pub &'a Store);

impl Params for Apart<'_> {
    fn get(&self, p: &ParamSpec) -> Result<Tensor, NetError> {
        if p.role != Role::Statistic {
            return Shared(self.0).get(p);
        }
        let tensor = &shared_entry(self.0, p)?.tensor;
        match tensor.size() == p.shape() {
            true => Ok(tensor.shallow_clone()),
            false => Err(NetError::Shape { name: p.shared.clone(), found: tensor.size(), expected: p.shape() }),
        }
    }
}

pub(crate) fn cut_all(mut t: Tensor, whole: &[SliceRule], p: &ParamSpec) -> Result<Tensor, NetError> {
    if whole.len() != p.axes.len() {
        return Err(NetError::Shape { name: p.shared.clone(), found: t.size(), expected: p.shape() });
    }
    for (axis, (from, to)) in whole.iter().zip(&p.axes).enumerate() {
        t = cut(t, axis, from, to, p)?;
    }
    Ok(t)
}

fn cut(t: Tensor, axis: usize, from: &SliceRule, to: &SliceRule, p: &ParamSpec) -> Result<Tensor, NetError> {
    let misfit = || NetError::Slice {
        name: p.shared.clone(),
        axis,
        found: format!("{to:?}"),
        expected: format!("at most {from:?}"),
    };
    let at = axis as i64;
    match (from, to) {
        (a, b) if a == b => Ok(t),
        (SliceRule::Leading(a), SliceRule::Leading(b)) => {
            leading(&t, at, a, b).ok_or_else(misfit)?.map_err(torch(&p.shared))
        }
        (SliceRule::Centre(a), SliceRule::Centre(b)) if a >= b && (a - b) % 2 == 0 => {
            t.f_narrow(at, i64::from((a - b) / 2), i64::from(*b)).map_err(torch(&p.shared))
        }
        (SliceRule::Table { h, w }, SliceRule::Table { h: h2, w: w2 }) => {
            let (rows, size) = (t.size()[0], [i64::from(*h2), i64::from(*w2)]);
            let grid = t.f_view([1, rows, i64::from(*h), i64::from(*w)]);
            // Distance 0 stays distance 0 and the largest stays the largest.
            let grid = grid.and_then(|g| g.f_upsample_bilinear2d(size, true, None, None));
            grid.and_then(|g| g.f_reshape([rows, size[0] * size[1]])).map_err(torch(&p.shared))
        }
        _ => Err(misfit()),
    }
}

type Torch<T> = Result<T, tch::TchError>;

/// The leading part of each section; `None` if the smaller has more or longer ones.
fn leading(t: &Tensor, axis: i64, from: &Sections, to: &Sections) -> Option<Torch<Tensor>> {
    if from.0.len() != to.0.len() || from.0.iter().zip(&to.0).any(|(a, b)| b.count > a.count || b.len > a.len) {
        return None;
    }
    let piece = |start: i64, a: &mobilenas_space::ir::Section, b: &mobilenas_space::ir::Section| -> Torch<Tensor> {
        let (count, len) = (i64::from(b.count), i64::from(b.len));
        if a.len == b.len {
            return t.f_narrow(axis, start, count * len);
        }
        if a.count == 1 {
            return t.f_narrow(axis, start, len);
        }
        let whole = t.f_narrow(axis, start, i64::from(a.count * a.len))?;
        let runs = whole.f_unflatten(axis, [i64::from(a.count), i64::from(a.len)])?;
        let runs = runs.f_narrow(axis, 0, count)?.f_narrow(axis + 1, 0, len)?;
        runs.f_flatten(axis, axis + 1)
    };
    let all = || -> Torch<Tensor> {
        let (mut start, mut parts) = (0, Vec::with_capacity(from.0.len()));
        for (a, b) in from.0.iter().zip(&to.0) {
            parts.push(piece(start, a, b)?);
            start += i64::from(a.count * a.len);
        }
        if parts.len() == 1 { Ok(parts.remove(0)) } else { Tensor::f_cat(&parts, axis) }
    };
    Some(all())
}

/// Detached tensors for a folded graph: each batch norm is multiplied into its convolution.
#[derive(Debug)]
pub struct Frozen {
    tensors: BTreeMap<String, Tensor>,
}

impl Frozen {
    /// Folds the tensors that a bound network runs on. `nodes` holds, for each node of the original graph, its
    /// specifications with their tensors.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn new(folded: &Folded, nodes: &[Vec<(ParamSpec, Tensor)>]) -> Result<Frozen, NetError> {
        let mut tensors = BTreeMap::new();
        let _guard = tch::no_grad_guard();
        for (spec, tensor) in nodes.iter().flatten() {
            tensors.insert(spec.name.clone(), tensor.detach().copy());
        }
        for (place, (conv, norm)) in &folded.took {
            let (weight, bias) = fold(&nodes[*conv], &nodes[*norm]).map_err(torch("folding a batch norm"))?;
            for (spec, t) in folded.graph.node_params(*place).iter().zip([weight, bias]) {
                tensors.insert(spec.name.clone(), t);
            }
        }
        Ok(Frozen { tensors })
    }
}

/// Weight and bias of a convolution with its batch norm folded in.
fn fold(conv: &[(ParamSpec, Tensor)], norm: &[(ParamSpec, Tensor)]) -> Torch<(Tensor, Tensor)> {
    let [(_, gamma), (_, beta), (_, mean), (_, var), ..] = norm else {
        return Err(tch::TchError::Shape("a batch norm without its tensors".into()));
    };
    let weight = &conv[0].1;
    // In double, so that folding adds no rounding of its own.
    let double = |t: &Tensor| t.f_to_kind(tch::Kind::Double);
    let scale = double(gamma)?.f_div(&double(var)?.f_add_scalar(BN_EPS)?.f_sqrt()?)?;
    let scaled = double(weight)?.f_mul(&scale.f_view([-1, 1, 1, 1])?)?;
    let centred = match conv.get(1) {
        Some((_, bias)) => double(bias)?.f_sub(&double(mean)?)?,
        None => double(mean)?.f_neg()?,
    };
    let bias = double(beta)?.f_add(&centred.f_mul(&scale)?)?;
    Ok((scaled.f_to_kind(weight.kind())?, bias.f_to_kind(weight.kind())?))
}

impl Params for Frozen {
    fn get(&self, p: &ParamSpec) -> Result<Tensor, NetError> {
        let t = self.tensors.get(&p.name);
        let t = t.ok_or_else(|| NetError::Missing { name: p.name.clone(), expected: p.shape() })?;
        Ok(t.shallow_clone())
    }
}
