//! Tensors by name: the weights of a stand-alone network or of a supernet.
//!
//! Everything learnt lies in one flat tensor, weights before the rest, so that the optimizer, the norm of the gradient
//! and a checkpoint touch one tensor instead of hundreds. The named tensors are views of it.

use std::collections::{BTreeMap, BTreeSet};

use mobilenas_space::Widths;
use mobilenas_space::ir::{Graph, Init, Op, ParamSpec, Role, Sections, SliceRule, distances};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng};
use tch::{Device, Kind, Tensor};

use crate::error::{NetError, torch};

/// Under which name a network's tensors stand in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Those of the stand-alone network.
    Own,
    /// Those of the supernet.
    Shared,
}

impl Names {
    /// The name of a tensor.
    pub fn of(self, spec: &ParamSpec) -> &str {
        match self {
            Names::Own => &spec.name,
            Names::Shared => &spec.shared,
        }
    }
}

/// One tensor with what it is.
#[derive(Debug)]
pub struct Entry {
    /// The tensor; learnt ones are views of [`Store::flat`] that record gradients.
    pub tensor: Tensor,
    /// Its axes.
    pub axes: Vec<SliceRule>,
    /// What it is for.
    pub role: Role,
}

/// Tensors by name.
#[derive(Debug)]
pub struct Store {
    entries: BTreeMap<String, Entry>,
    flat: Tensor,
    decayed: i64,
    /// Learnt tensors in the order of the flat tensor: name and padded length.
    layout: Vec<(String, i64)>,
    /// Tensors of batch norms that are kept apart by width.
    apart: BTreeSet<String>,
}

/// Every tensor begins at a multiple of it, so that kernels see the alignment of a tensor of its own.
const ALIGN: i64 = 16;

impl Store {
    /// Makes and initialises the tensors of a graph.
    ///
    /// Each tensor's values depend on `seed` and its name alone.
    ///
    /// # Errors
    /// When libtorch refuses (out of memory).
    pub fn init(graph: &Graph, names: Names, seed: u64, device: Device) -> Result<Store, NetError> {
        let specs = graph.params().into_iter().map(|p| (names.of(&p).to_string(), p)).collect();
        Store::of(&specs, seed, device)
    }

    /// Makes and initialises the tensors of a supernet that keeps batch norms apart by width: beside those of the graph,
    /// each batch norm has weight, bias and statistics of its own for each other number of its channels.
    ///
    /// # Errors
    /// When libtorch refuses (out of memory).
    pub fn init_apart(graph: &Graph, widths: &Widths, seed: u64, device: Device) -> Result<Store, NetError> {
        let mut specs: BTreeMap<String, ParamSpec> =
            graph.params().into_iter().map(|p| (p.shared.clone(), p)).collect();
        let mut apart = BTreeSet::new();
        for (i, node) in graph.nodes.iter().enumerate().filter(|(_, n)| n.op == Op::BatchNorm) {
            let others = widths.get(&node.shared.to_string()).into_iter().flatten();
            let others: Vec<u32> = others.copied().filter(|n| *n != node.value.channels()).collect();
            for p in graph.node_params(i).into_iter().filter(|p| !p.axes.is_empty()) {
                apart.insert(p.shared.clone());
                for &n in &others {
                    let shared = at_width(&p.shared, n.into());
                    let axes = vec![SliceRule::Leading(Sections::plain(n))];
                    specs.insert(shared.clone(), ParamSpec { shared, axes, ..p.clone() });
                }
            }
        }
        Ok(Store { apart, ..Store::of(&specs, seed, device)? })
    }

    fn of(specs: &BTreeMap<String, ParamSpec>, seed: u64, device: Device) -> Result<Store, NetError> {
        let padded = |p: &ParamSpec| (p.elements() as i64 + ALIGN - 1) / ALIGN * ALIGN;
        let mut layout = Vec::new();
        let mut decayed = 0;
        for weights in [true, false] {
            for (name, p) in specs.iter().filter(|(_, p)| p.role.trainable() && (p.role == Role::Weight) == weights) {
                layout.push((name.clone(), padded(p)));
            }
            if weights {
                decayed = layout.iter().map(|(_, n)| n).sum();
            }
        }
        let total: i64 = layout.iter().map(|(_, n)| n).sum();
        let flat = Tensor::f_zeros([total.max(1)], (Kind::Float, device)).map_err(torch("making the weights"))?;
        let mut store = Store { entries: BTreeMap::new(), flat, decayed, layout, apart: BTreeSet::new() };
        store.view_entries(specs)?;
        for (name, p) in specs {
            if !p.role.trainable() {
                let kind = if matches!(p.role, Role::Statistic) { Kind::Float } else { Kind::Int64 };
                let tensor = Tensor::f_zeros(p.shape(), (kind, device)).map_err(torch(name))?;
                store.entries.insert(name.clone(), Entry { tensor, axes: p.axes.clone(), role: p.role });
            }
            store.begin(name, p, seed)?;
        }
        Ok(store)
    }

    fn view_entries(&mut self, specs: &BTreeMap<String, ParamSpec>) -> Result<(), NetError> {
        let mut at = 0;
        for (name, padded) in &self.layout {
            let p = &specs[name];
            let view = self.flat.f_narrow(0, at, p.elements() as i64).and_then(|t| t.f_view(p.shape().as_slice()));
            let tensor = view.and_then(|t| t.f_detach()).and_then(|t| t.f_set_requires_grad(true));
            let tensor = tensor.map_err(torch(name))?;
            self.entries.insert(name.clone(), Entry { tensor, axes: p.axes.clone(), role: p.role });
            at += padded;
        }
        Ok(())
    }

    fn begin(&mut self, name: &str, p: &ParamSpec, seed: u64) -> Result<(), NetError> {
        if let Init::Distances { h, w, stride } = p.init {
            let index = Tensor::f_from_slice(&distances(h, w, stride)).map_err(torch(name))?;
            return self.set(name, &index.reshape(p.shape()));
        }
        let values = initial(p, &mut ChaCha8Rng::from_seed(seed_of(seed, name)));
        self.set_values(name, &values)
    }

    /// Replaces a tensor's values, given in row-major order.
    ///
    /// # Errors
    /// When there is no such tensor, or it has another number of elements.
    pub fn set_values(&mut self, name: &str, values: &[f32]) -> Result<(), NetError> {
        let shape = self.entry(name)?.tensor.size();
        if shape.iter().product::<i64>() != values.len() as i64 {
            return Err(NetError::Shape { name: name.into(), found: vec![values.len() as i64], expected: shape });
        }
        let t = Tensor::f_from_slice(values).and_then(|t| t.f_reshape(&shape)).map_err(torch(name))?;
        self.set(name, &t)
    }

    /// Replaces a tensor's values.
    ///
    /// # Errors
    /// When there is no such tensor, or it has another shape.
    pub fn set(&mut self, name: &str, values: &Tensor) -> Result<(), NetError> {
        let entry = self.entry(name)?;
        if entry.tensor.size() != values.size() {
            let (found, expected) = (values.size(), entry.tensor.size());
            return Err(NetError::Shape { name: name.into(), found, expected });
        }
        let mut target = entry.tensor.shallow_clone();
        tch::no_grad(|| target.f_copy_(values)).map_err(torch(name))
    }

    /// The tensor that a subnet's specification is served by: that of its own width where batch norms are kept apart, else
    /// the shared one.
    ///
    /// # Errors
    /// When there is none.
    pub fn shared(&self, spec: &ParamSpec) -> Result<&Entry, NetError> {
        self.entry(&self.shared_name(spec))
    }

    /// Name of that tensor.
    pub fn shared_name(&self, spec: &ParamSpec) -> String {
        let width = spec.elements() as i64;
        let whole = self.entries.get(&spec.shared).map_or(0, |e| e.tensor.numel() as i64);
        if self.keeps_apart(spec) && whole != width { at_width(&spec.shared, width) } else { spec.shared.clone() }
    }

    /// Whether a specification's tensor belongs to a batch norm that is kept apart by width.
    pub fn keeps_apart(&self, spec: &ParamSpec) -> bool {
        self.apart.contains(&spec.shared)
    }

    /// Where everything lies.
    pub fn device(&self) -> Device {
        self.flat.device()
    }

    /// A tensor by name.
    ///
    /// # Errors
    /// When there is none.
    pub fn entry(&self, name: &str) -> Result<&Entry, NetError> {
        self.entries.get(name).ok_or_else(|| NetError::Missing { name: name.to_string(), expected: vec![] })
    }

    /// All tensors, by name in order.
    pub fn entries(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.entries.iter()
    }

    /// All that is learnt, one axis: the weights that decay, then the rest, each tensor padded with zeros.
    pub fn flat(&self) -> &Tensor {
        &self.flat
    }

    /// What is learnt, in the order of [`Store::flat`]: first element there, name, tensor.
    pub fn learnt(&self) -> impl Iterator<Item = (i64, &str, &Tensor)> {
        self.layout.iter().scan(0, |at, (name, padded)| {
            let start = *at;
            *at += padded;
            Some((start, name.as_str(), &self.entries[name].tensor))
        })
    }

    /// First element in [`Store::flat`] and shape of a learnt tensor.
    pub fn place(&self, name: &str) -> Option<(i64, Vec<i64>)> {
        self.learnt().find(|(_, n, _)| *n == name).map(|(start, _, t)| (start, t.size()))
    }

    /// What is not learnt but changes in training: running statistics.
    pub fn statistics(&self) -> impl Iterator<Item = (&String, &Tensor)> {
        self.entries.iter().filter(|(_, e)| e.role == Role::Statistic).map(|(n, e)| (n, &e.tensor))
    }

    /// Elements at the front of [`Store::flat`] that weight decay applies to.
    pub fn decayed(&self) -> i64 {
        self.decayed
    }

    /// The gradients, laid out as [`Store::flat`]; zero where no gradient came.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn flat_grad(&self) -> Result<Tensor, NetError> {
        let fail = || torch("collecting gradients");
        let options = (self.flat.kind(), self.flat.device());
        let mut parts = Vec::with_capacity(2 * self.layout.len());
        for (name, padded) in &self.layout {
            let grad = self.entries[name].tensor.f_grad().map_err(fail())?;
            let mut filled = 0;
            if grad.defined() {
                let flat = grad.f_reshape([-1]).map_err(fail())?;
                filled = flat.size()[0];
                parts.push(flat);
            }
            if filled < *padded {
                parts.push(Tensor::f_zeros([padded - filled], options).map_err(fail())?);
            }
        }
        if parts.is_empty() {
            return self.flat.f_zeros_like().map_err(fail());
        }
        Tensor::f_cat(&parts, 0).map_err(fail())
    }

    /// Forgets all gradients.
    pub fn zero_grad(&mut self) {
        for e in self.entries.values_mut().filter(|e| e.role.trainable()) {
            e.tensor.zero_grad();
        }
    }
}

/// Name of a batch norm's tensor for a number of channels that is not the largest.
fn at_width(name: &str, channels: i64) -> String {
    format!("{name}@{channels}")
}

/// A seed of 32 bytes from the run's seed and a name.
fn seed_of(seed: u64, name: &str) -> [u8; 32] {
    let mut h = 0xcbf2_9ce4_8422_2325u64;
    for b in name.bytes() {
        h = (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    let mut out = [0; 32];
    out[..8].copy_from_slice(&seed.to_le_bytes());
    out[8..16].copy_from_slice(&h.to_le_bytes());
    out
}

/// One draw from the standard normal distribution (Box and Muller).
fn normal(rng: &mut dyn Rng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

fn initial(p: &ParamSpec, rng: &mut dyn Rng) -> Vec<f32> {
    let n = p.elements() as usize;
    let draw = |rng: &mut dyn Rng| match p.init {
        Init::Const(c) => c,
        Init::Normal { variance: (a, b) } => normal(rng) * (f64::from(a) / f64::from(b.max(1))).sqrt(),
        Init::TruncNormal { std_e3 } => {
            let mut x = normal(rng);
            while x.abs() > 2.0 {
                x = normal(rng);
            }
            x * f64::from(std_e3) * 1e-3
        }
        Init::Uniform { fan_in } => rng.random_range(-1.0..1.0) / f64::from(fan_in.max(1)).sqrt(),
        Init::Distances { .. } => 0.0,
    };
    (0..n).map(|_| draw(rng) as f32).collect()
}
