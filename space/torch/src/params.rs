//! Where a network's tensors come from: a store of its own, slices of a supernet's, or folded for deployment.
//!
//! Weight sharing is another [`Params`], never a second set of layers.

use std::collections::BTreeMap;

use mobilenas_space::ir::{Branch, Folded, Groups, Op, ParamSpec, Role, Section, Sections, SliceRule};
use tch::{Kind, TchError, Tensor};

use crate::error::{NetError, OpError, torch};
use crate::store::{Entry, Names, ParamStore, index_tensor};

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
pub struct Owned<'a>(pub &'a ParamStore);

impl Params for Owned<'_> {
    fn get(&self, p: &ParamSpec) -> Result<Tensor, NetError> {
        same_shape(&self.0.entry_of(Names::Standalone.of(p), p)?.tensor, &p.name, p)
    }
}

/// A tensor that has exactly the shape of a specification.
fn same_shape(t: &Tensor, name: &str, p: &ParamSpec) -> Result<Tensor, NetError> {
    match t.size() == p.shape() {
        true => Ok(t.shallow_clone()),
        false => Err(NetError::Shape { name: name.to_string(), found: t.size(), expected: p.shape() }),
    }
}

/// The tensors of a stand-alone network, for the same network at another resolution. Tensors and running statistics are the
/// very same; tables of attention biases are resized from the learnt ones, so a network has to be bound again after each step.
#[derive(Clone, Copy, Debug)]
pub struct Resized<'a>(pub &'a ParamStore);

impl Params for Resized<'_> {
    fn get(&self, p: &ParamSpec) -> Result<Tensor, NetError> {
        let entry = self.0.entry_of(Names::Standalone.of(p), p)?;
        match p.role {
            Role::Index => index_tensor(p),
            _ => slice(entry.tensor.shallow_clone(), &entry.axes, p),
        }
    }
}

/// Slices of a supernet's tensors. Parameters stay connected to the shared tensors; running statistics are new copies, so
/// that no subnet changes another's.
#[derive(Clone, Copy, Debug)]
pub struct Shared<'a>(pub &'a ParamStore);

impl Params for Shared<'_> {
    fn get(&self, p: &ParamSpec) -> Result<Tensor, NetError> {
        let entry = self.0.shared(p)?;
        if p.role == Role::Index {
            return index_tensor(p)?.f_to_device(entry.tensor.device()).map_err(torch(&p.shared));
        }
        if p.role.trainable() {
            return slice_of_entry(self.0, entry, p);
        }
        // Filled in place: adding a fraction to an integer tensor would change its type.
        let begin = if p.name.ends_with("running_var") { 1 } else { 0 };
        let fresh = entry.tensor.f_zeros_like().map_err(torch(&p.shared))?;
        let fresh = slice(fresh, axes_in(self.0, entry, p), p)?;
        fresh.f_contiguous().and_then(|mut t| t.f_fill_(begin)).map_err(torch(&p.shared))
    }
}

/// The axes from which a tensor is sliced. A per-width tensor is never sliced, whatever its sections.
pub(crate) fn axes_in<'a>(store: &ParamStore, entry: &'a Entry, p: &'a ParamSpec) -> &'a [SliceRule] {
    if store.is_per_width(p) { &p.axes } else { &entry.axes }
}

pub(crate) fn slice_of_entry(store: &ParamStore, entry: &Entry, p: &ParamSpec) -> Result<Tensor, NetError> {
    slice(entry.tensor.shallow_clone(), axes_in(store, entry, p), p)
}

/// Slices of a supernet's tensors with the running statistics that training left for each width: for a supernet with batch
/// norms per width, as in slimmable networks. Running in training mode updates the supernet's statistics.
#[derive(Clone, Copy, Debug)]
pub struct PerWidthNorm<'a>(pub &'a ParamStore);

impl Params for PerWidthNorm<'_> {
    fn get(&self, p: &ParamSpec) -> Result<Tensor, NetError> {
        match p.role {
            Role::Statistic => same_shape(&self.0.shared(p)?.tensor, &p.shared, p),
            _ => Shared(self.0).get(p),
        }
    }
}

/// The slice of a tensor with the axes `whole` that a specification asks for.
pub(crate) fn slice(mut t: Tensor, whole: &[SliceRule], p: &ParamSpec) -> Result<Tensor, NetError> {
    if whole.len() != p.axes.len() {
        return Err(NetError::Shape { name: p.shared.clone(), found: t.size(), expected: p.shape() });
    }
    for (axis, (from, to)) in whole.iter().zip(&p.axes).enumerate() {
        t = slice_axis(t, axis, from, to, p)?;
    }
    Ok(t)
}

fn slice_axis(t: Tensor, axis: usize, from: &SliceRule, to: &SliceRule, p: &ParamSpec) -> Result<Tensor, NetError> {
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

/// The leading part of each section, of the leading ones if the slice has fewer; `None` if it has more runs or longer ones.
fn leading(t: &Tensor, axis: i64, from: &Sections, to: &Sections) -> Option<Result<Tensor, TchError>> {
    if from.0.len() < to.0.len() || from.0.iter().zip(&to.0).any(|(a, b)| b.count > a.count || b.len > a.len) {
        return None;
    }
    let piece = |start: i64, a: &Section, b: &Section| -> Result<Tensor, TchError> {
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
    let all = || -> Result<Tensor, TchError> {
        let (mut start, mut parts) = (0, Vec::with_capacity(from.0.len()));
        for (a, b) in from.0.iter().zip(&to.0) {
            parts.push(piece(start, a, b)?);
            start += i64::from(a.count * a.len);
        }
        if parts.len() == 1 { Ok(parts.remove(0)) } else { Tensor::f_cat(&parts, axis) }
    };
    Some(all())
}

/// Detached tensors of a folded graph: norms, scales and parallel branches are in its convolutions.
#[derive(Debug)]
pub struct Frozen {
    tensors: BTreeMap<String, Tensor>,
}

impl Frozen {
    /// Folds the tensors of a bound network. `nodes` holds the specifications and tensors of each node of the original graph.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn new(folded: &Folded, nodes: &[Vec<(ParamSpec, Tensor)>]) -> Result<Frozen, NetError> {
        let mut tensors = BTreeMap::new();
        let _guard = tch::no_grad_guard();
        for (spec, tensor) in nodes.iter().flatten() {
            tensors.insert(spec.name.clone(), tensor.detach().copy());
        }
        for (place, branch) in &folded.folded_from {
            let specs = folded.graph.node_params(*place);
            let node = &folded.graph.nodes[*place];
            let at = |error| NetError::Op { at: node.path.to_string(), error };
            let Op::Conv { kernel, pad, dilation, groups, .. } = node.op else { continue };
            let from = node.inputs.first().map_or(0, |i| folded.graph.nodes[*i as usize].value.channels());
            let window =
                Window { kernel, pad, dilation, groups, channels: i64::from(from), bn_eps: folded.graph.bn_eps() };
            let kind = nodes.get(branch.first_conv()).and_then(|n| n.first()).map_or(Kind::Float, |(_, t)| t.kind());
            let tensors_of = fold(branch, &window, nodes).map_err(at)?;
            for (spec, t) in specs.iter().zip(tensors_of) {
                let t = t.f_to_kind(kind).map_err(torch(&spec.name))?;
                tensors.insert(spec.name.clone(), t);
            }
        }
        Ok(Frozen { tensors })
    }
}

/// How the convolution that branches become slides, and the channels that it reads.
struct Window {
    kernel: u32,
    pad: u32,
    dilation: u32,
    groups: Groups,
    channels: i64,
    bn_eps: f64,
}

impl Window {
    /// A smaller kernel with zeros around it, so that it does the same under this window.
    fn around(&self, weight: &Tensor, pad: u32) -> Result<Tensor, TchError> {
        let (size, wanted) = (weight.size(), self.groups.pair(self.kernel, 1).map(i64::from));
        let before = self.groups.pair((self.pad - pad) / self.dilation, 0).map(i64::from);
        let after = |axis: usize| wanted[axis] - size[axis + 2] - before[axis];
        weight.f_constant_pad_nd([before[1], after(1), before[0], after(0)])
    }

    /// The kernel that passes each channel on.
    fn identity(&self, like: &Tensor) -> Result<Tensor, TchError> {
        let (n, options) = (self.channels, (Kind::Double, like.device()));
        match self.groups {
            Groups::Dense => Tensor::f_eye(n, options)?.f_view([n, n, 1, 1]),
            Groups::Depthwise | Groups::DepthwiseRow | Groups::DepthwiseColumn => Tensor::f_ones([n, 1, 1, 1], options),
            Groups::Grouped(groups) => {
                let (groups, each) = (i64::from(groups), n / i64::from(groups.max(1)));
                Tensor::f_eye(each, options)?.f_repeat([groups, 1])?.f_view([n, each, 1, 1])
            }
        }
    }
}

/// Weight and bias of a branch in float64, so that folding adds no rounding of its own.
fn fold(branch: &Branch, window: &Window, nodes: &[Vec<(ParamSpec, Tensor)>]) -> Result<[Tensor; 2], OpError> {
    let double = |t: &Tensor| t.f_to_kind(Kind::Double);
    let tensors = |node: usize| nodes[node].iter().map(|(_, t)| t).collect::<Vec<_>>();
    let missing = |op| OpError::Incomplete { op, missing: "tensors" };
    let scaled = |[weight, bias]: [Tensor; 2], by: &Tensor| -> Result<[Tensor; 2], TchError> {
        Ok([weight.f_mul(&by.f_view([-1, 1, 1, 1])?)?, bias.f_mul(by)?])
    };
    Ok(match branch {
        Branch::Identity => {
            let like = nodes.iter().flatten().next().ok_or_else(|| missing("conv"))?;
            let bias = Tensor::f_zeros([window.channels], (Kind::Double, like.1.device()))?;
            [window.around(&window.identity(&like.1)?, 0)?, bias]
        }
        Branch::Conv(node, pad) => {
            let own = tensors(*node);
            let [weight, bias @ ..] = &own[..] else { return Err(missing("conv")) };
            let weight = double(weight)?;
            let bias = match bias.first() {
                Some(bias) => double(bias)?,
                None => Tensor::f_zeros([weight.size()[0]], (Kind::Double, weight.device()))?,
            };
            [window.around(&weight, *pad)?, bias]
        }
        Branch::BatchNorm(node, of) => {
            let own = tensors(*node);
            let [gamma, beta, mean, var, ..] = own[..] else { return Err(missing("batch_norm")) };
            let by = double(gamma)?.f_div(&double(var)?.f_add_scalar(window.bn_eps)?.f_sqrt()?)?;
            let [weight, bias] = fold(of, window, nodes)?;
            let [weight, bias] = scaled([weight, bias.f_sub(&double(mean)?)?], &by)?;
            [weight, bias.f_add(&double(beta)?)?]
        }
        Branch::ChannelScale(node, of) => {
            let own = tensors(*node);
            let [gamma, ..] = own[..] else { return Err(missing("channel_scale")) };
            scaled(fold(of, window, nodes)?, &double(gamma)?.f_reshape([-1])?)?
        }
        Branch::Sum(both) => {
            let ([a, b], [c, d]) = (fold(&both[0], window, nodes)?, fold(&both[1], window, nodes)?);
            [a.f_add(&c)?, b.f_add(&d)?]
        }
        Branch::Difference(both) => {
            let ([a, b], [c, d]) = (fold(&both[0], window, nodes)?, fold(&both[1], window, nodes)?);
            [a.f_sub(&c)?, b.f_sub(&d)?]
        }
    })
}

impl Params for Frozen {
    fn get(&self, p: &ParamSpec) -> Result<Tensor, NetError> {
        let t = self.tensors.get(&p.name);
        let t = t.ok_or_else(|| NetError::Missing { name: p.name.clone(), expected: p.shape() })?;
        Ok(t.shallow_clone())
    }
}
