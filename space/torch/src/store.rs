//! Parameters and buffers by name: those of a stand-alone network or of a supernet.
//!
//! All parameters are views of one flat tensor, weights before the rest, so that the optimizer, the gradient norm and a
//! checkpoint touch one tensor instead of hundreds.

use std::collections::{BTreeMap, BTreeSet};

use mobilenas_space::ir::{Graph, Init, Op, ParamSpec, Role, Sections, SliceRule, distances};
use mobilenas_space::{Fnv, Widths};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng};
use tch::{Device, Kind, TchError, Tensor};

use crate::error::{NetError, torch};

/// Which of a tensor's two names a store uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// That of the stand-alone network.
    Standalone,
    /// That of the supernet.
    Supernet,
}

impl Names {
    /// The name of a tensor.
    pub fn of(self, spec: &ParamSpec) -> &str {
        match self {
            Names::Standalone => &spec.name,
            Names::Supernet => &spec.shared,
        }
    }
}

/// One tensor of a store.
#[derive(Debug)]
pub struct Entry {
    /// The tensor; parameters are views of [`ParamStore::flat`] that record gradients.
    pub tensor: Tensor,
    /// Its axes.
    pub axes: Vec<SliceRule>,
    /// What it is for.
    pub role: Role,
}

/// Parameters and buffers by name.
#[derive(Debug)]
pub struct ParamStore {
    entries: BTreeMap<String, Entry>,
    flat: Tensor,
    decayed: i64,
    /// Parameters in the order of the flat tensor: name and padded length.
    layout: Vec<(String, i64)>,
    /// Supernet names of the batch norm tensors that exist once per width.
    per_width: BTreeSet<String>,
}

/// What tensors begin with.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// Their initial values, by a seed: those of each tensor depend on it and on the tensor's name alone.
    Initial(u64),
    /// Quickly made ones, for what does not depend on them: latency. They have the initial values' variance, and follow each
    /// other as the multiples of the golden ratio do.
    Quick,
    /// Zeros, for values that follow.
    Zero,
}

/// Every parameter begins at a multiple of it in the flat tensor, so that kernels see the alignment of a separate tensor.
const ALIGN: i64 = 16;

impl ParamStore {
    /// Allocates the tensors of a graph and gives them their initial values.
    ///
    /// # Errors
    /// When libtorch fails (out of memory).
    pub fn init(graph: &Graph, names: Names, seed: u64, device: Device) -> Result<ParamStore, NetError> {
        ParamStore::with(graph, names, Values::Initial(seed), device)
    }

    /// Allocates the tensors of a graph.
    ///
    /// # Errors
    /// When libtorch fails (out of memory).
    pub fn with(graph: &Graph, names: Names, values: Values, device: Device) -> Result<ParamStore, NetError> {
        let specs = graph.params().into_iter().map(|p| (names.of(&p).to_string(), p)).collect();
        ParamStore::of(&specs, values, device)
    }

    /// The same for a supernet with batch norms per width: beside the graph's own, each batch norm has weight, bias and
    /// statistics for every other number of channels in `widths`.
    ///
    /// # Errors
    /// When libtorch fails (out of memory).
    pub fn per_width(graph: &Graph, widths: &Widths, values: Values, device: Device) -> Result<ParamStore, NetError> {
        let mut specs: BTreeMap<String, ParamSpec> =
            graph.params().into_iter().map(|p| (p.shared.clone(), p)).collect();
        let mut per_width = BTreeSet::new();
        for (i, node) in graph.nodes.iter().enumerate().filter(|(_, n)| n.op == Op::BatchNorm) {
            let others = widths.get(&node.shared.to_string()).into_iter().flatten();
            let others: Vec<u32> = others.copied().filter(|n| *n != node.value.channels()).collect();
            for p in graph.node_params(i).into_iter().filter(|p| !p.axes.is_empty()) {
                per_width.insert(p.shared.clone());
                for &n in &others {
                    let shared = name_at_width(&p.shared, n.into());
                    let axes = vec![SliceRule::Leading(Sections::plain(n))];
                    specs.insert(shared.clone(), ParamSpec { shared, axes, ..p.clone() });
                }
            }
        }
        Ok(ParamStore { per_width, ..ParamStore::of(&specs, values, device)? })
    }

    fn of(specs: &BTreeMap<String, ParamSpec>, values: Values, device: Device) -> Result<ParamStore, NetError> {
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
        let flat =
            Tensor::f_zeros([total.max(1)], (Kind::Float, device)).map_err(torch("allocating the parameters"))?;
        let mut store = ParamStore { entries: BTreeMap::new(), flat, decayed, layout, per_width: BTreeSet::new() };
        store.view_entries(specs)?;
        for (name, p) in specs {
            if !p.role.trainable() {
                let kind = if matches!(p.role, Role::Statistic) { Kind::Float } else { Kind::Int64 };
                let tensor = Tensor::f_zeros(p.shape(), (kind, device)).map_err(torch(name))?;
                store.entries.insert(name.clone(), Entry { tensor, axes: p.axes.clone(), role: p.role });
            }
            store.initialize(name, p, values)?;
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

    fn initialize(&mut self, name: &str, p: &ParamSpec, values: Values) -> Result<(), NetError> {
        if p.role == Role::Index {
            return self.set(name, &index_tensor(p)?);
        }
        match values {
            Values::Initial(seed) => {
                self.set_values(name, &initial(p, &mut ChaCha8Rng::from_seed(seed_of(seed, name))))
            }
            Values::Quick => self.set(name, &quick(p).map_err(torch(name))?),
            Values::Zero => Ok(()),
        }
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

    /// The tensor that serves a subnet's specification: that of its own width where batch norms are per width, else the
    /// shared one.
    ///
    /// # Errors
    /// When there is none.
    pub fn shared(&self, spec: &ParamSpec) -> Result<&Entry, NetError> {
        self.entry_of(&self.shared_name(spec), spec)
    }

    /// The name of that tensor.
    pub fn shared_name(&self, spec: &ParamSpec) -> String {
        let width = spec.elements() as i64;
        let whole = self.entries.get(&spec.shared).map_or(0, |e| e.tensor.numel() as i64);
        if self.is_per_width(spec) && whole != width { name_at_width(&spec.shared, width) } else { spec.shared.clone() }
    }

    /// Whether a specification's tensor belongs to a batch norm that exists once per width.
    pub fn is_per_width(&self, spec: &ParamSpec) -> bool {
        self.per_width.contains(&spec.shared)
    }

    /// The device of all tensors.
    pub fn device(&self) -> Device {
        self.flat.device()
    }

    /// A tensor by name.
    ///
    /// # Errors
    /// When there is none.
    pub fn entry(&self, name: &str) -> Result<&Entry, NetError> {
        self.entries.get(name).ok_or_else(|| NetError::Unknown { name: name.to_string() })
    }

    /// A tensor by name; the error says which shape `spec` wants.
    pub(crate) fn entry_of(&self, name: &str, spec: &ParamSpec) -> Result<&Entry, NetError> {
        let missing = || NetError::Missing { name: name.to_string(), expected: spec.shape() };
        self.entries.get(name).ok_or_else(missing)
    }

    /// All tensors in the order of their names.
    pub fn entries(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.entries.iter()
    }

    /// All parameters in one axis: the weights that decay, then the rest, each padded with zeros.
    pub fn flat(&self) -> &Tensor {
        &self.flat
    }

    /// The parameters in the order of [`ParamStore::flat`]: first element there, name, tensor.
    pub fn trainable(&self) -> impl Iterator<Item = (i64, &str, &Tensor)> {
        self.layout.iter().scan(0, |at, (name, padded)| {
            let start = *at;
            *at += padded;
            Some((start, name.as_str(), &self.entries[name].tensor))
        })
    }

    /// First element in [`ParamStore::flat`] and shape of a parameter.
    pub fn offset_and_shape(&self, name: &str) -> Option<(i64, Vec<i64>)> {
        self.trainable().find(|(_, n, _)| *n == name).map(|(start, _, t)| (start, t.size()))
    }

    /// The running statistics.
    pub fn statistics(&self) -> impl Iterator<Item = (&String, &Tensor)> {
        self.entries.iter().filter(|(_, e)| e.role == Role::Statistic).map(|(n, e)| (n, &e.tensor))
    }

    /// How many elements at the front of [`ParamStore::flat`] decay.
    pub fn decayed(&self) -> i64 {
        self.decayed
    }

    /// The gradients, laid out as [`ParamStore::flat`]; zero where there is none.
    ///
    /// # Errors
    /// When libtorch fails.
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

    /// Zeroes all gradients.
    pub fn zero_grad(&mut self) {
        for e in self.entries.values_mut().filter(|e| e.role.trainable()) {
            e.tensor.zero_grad();
        }
    }
}

/// The name of a batch norm's tensor for a number of channels that is not the largest.
fn name_at_width(name: &str, channels: i64) -> String {
    format!("{name}@{channels}")
}

/// The indices into a table of distances that a specification asks for.
pub(crate) fn index_tensor(p: &ParamSpec) -> Result<Tensor, NetError> {
    let Init::Distances { h, w, stride } = p.init else {
        return Err(NetError::Missing { name: p.name.clone(), expected: p.shape() });
    };
    let index = Tensor::f_from_slice(&distances(h, w, stride)).and_then(|t| t.f_reshape(p.shape()));
    index.map_err(torch(&p.name))
}

/// A seed of 32 bytes from the run's seed and a name.
fn seed_of(seed: u64, name: &str) -> [u8; 32] {
    let mut out = [0; 32];
    out[..8].copy_from_slice(&seed.to_le_bytes());
    out[8..16].copy_from_slice(&Fnv::hash(name.as_bytes()).to_le_bytes());
    out
}

/// One draw from the standard normal distribution (Box and Muller).
fn normal(rng: &mut impl Rng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// The initial values of a tensor.
fn initial(p: &ParamSpec, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let n = p.elements() as usize;
    let draw = |rng: &mut ChaCha8Rng| match p.init {
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
        Init::Xavier { fans } => rng.random_range(-1.0..1.0) * (6.0 / f64::from(fans.max(1))).sqrt(),
        Init::Distances { .. } => 0.0,
    };
    (0..n).map(|_| draw(rng) as f32).collect()
}

/// Quick values of a tensor, with the variance of its initial ones.
fn quick(p: &ParamSpec) -> Result<Tensor, TchError> {
    let share = |a: f64, b: u32| a / f64::from(b.max(1));
    let variance = match p.init {
        Init::Const(c) => return Tensor::f_full(p.shape(), c, (Kind::Float, Device::Cpu)),
        Init::Normal { variance: (a, b) } => share(f64::from(a), b),
        Init::TruncNormal { std_e3 } => (f64::from(std_e3) * 1e-3).powi(2),
        Init::Uniform { fan_in } => share(1.0 / 3.0, fan_in),
        Init::Xavier { fans } => share(2.0, fans),
        Init::Distances { .. } => 0.0,
    };
    let width = (12.0 * variance).sqrt();
    let places = Tensor::f_arange(p.elements() as i64, (Kind::Double, Device::Cpu))?;
    // The fractional part of multiples of the golden ratio is spread evenly over 0 to 1.
    let even = places.f_mul_scalar(0.618_033_988_749_894_9)?.f_frac()?;
    even.f_sub_scalar(0.5)?.f_mul_scalar(width)?.f_to_kind(Kind::Float)?.f_reshape(p.shape())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mobilenas_space::families;

    use super::*;

    #[test]
    fn quick_values_are_spread_as_initial_ones_are() {
        for name in ["mobilevit_xxs", "efficientformerv2_s0", "mobilenetv2_100", "deit_tiny_patch16_224"] {
            let graph = families::plan(name, None, 1000).unwrap().lower().unwrap();
            let initial = ParamStore::init(&graph, Names::Standalone, 1, Device::Cpu).unwrap();
            let quick = ParamStore::with(&graph, Names::Standalone, Values::Quick, Device::Cpu).unwrap();
            for p in graph.params() {
                let [a, b] = [&initial, &quick].map(|store| &store.entry(&p.name).unwrap().tensor);
                assert_eq!((a.size(), a.kind()), (b.size(), b.kind()), "{}", p.name);
                if p.elements() < 10_000 || !p.role.trainable() || matches!(p.init, Init::Const(_)) {
                    continue;
                }
                let spread = |t: &Tensor| t.std(true).double_value(&[]);
                let (a, b) = (spread(a), spread(b));
                // A normal distribution that is cut off at two standard deviations has 0.88 of them.
                assert!((0.8..1.05).contains(&(a / b)), "{} of {name}: {a} and {b}", p.name);
            }
        }
    }
}
