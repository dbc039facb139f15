//! The choice between the kernels of a step.

use tch::{TchError, Tensor};

use super::kernel::{Kernel, KernelFn};
use super::node::FEW_KEYS;
use crate::error::{NetError, op, torch};

/// Selects kernels. The one that times them is in `bench`, which has the clock.
pub trait KernelSelector {
    /// The kernel that was selected before under this key.
    fn cached(&mut self, key: &str) -> Option<String>;

    /// The index of the fastest kernel. `run` runs one of them once.
    ///
    /// # Errors
    /// Those of `run`.
    fn fastest(
        &mut self,
        key: &str,
        names: &[&str],
        run: &mut dyn FnMut(usize) -> Result<(), NetError>,
    ) -> Result<usize, NetError>;

    /// Names of kernels in order of preference, if nothing is to be timed: the first that works is taken.
    fn preference(&self) -> Option<&'static [&'static str]> {
        None
    }
}

/// Selects the same kernels everywhere, so that results are the same too: those that suit large batches of small images.
#[derive(Clone, Copy, Debug)]
pub struct FixedKernels;

impl KernelSelector for FixedKernels {
    fn cached(&mut self, _: &str) -> Option<String> {
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

    fn preference(&self) -> Option<&'static [&'static str]> {
        Some(&["mkldnn_packed_act", "mkldnn_packed", "planes_product", "rows", FEW_KEYS, "fused"])
    }
}

/// A selected kernel, prepared, and its result.
pub(super) struct Selected {
    pub name: &'static str,
    pub run: KernelFn,
    pub value: Tensor,
}

/// Selects a kernel for a step at the path `at` that reads the values `ins`.
pub(super) fn select(
    selector: &mut dyn KernelSelector,
    key: &str,
    kernels: &[Kernel],
    ins: &[&Tensor],
    at: &str,
) -> Result<Selected, NetError> {
    if let Some(preference) = selector.preference() {
        return preferred(preference, kernels, ins, at);
    }
    let (name, run) = timed(selector, key, kernels, ins, at)?;
    let value = run(ins).map_err(op(at))?;
    Ok(Selected { name, run, value })
}

fn none_works(at: &str) -> NetError {
    NetError::NoKernel { at: at.to_string() }
}

/// The first kernel that works: those of `preference` in their order, then the others.
fn preferred(preference: &[&str], kernels: &[Kernel], ins: &[&Tensor], at: &str) -> Result<Selected, NetError> {
    let named = preference.iter().filter_map(|name| kernels.iter().find(|k| k.name == *name));
    let others = kernels.iter().filter(|k| !preference.contains(&k.name));
    let mut error = None;
    for kernel in named.chain(others) {
        match kernel.try_on(ins) {
            Ok((run, value)) => return Ok(Selected { name: kernel.name, run, value }),
            Err(e) => error = Some(e),
        }
    }
    Err(error.map_or_else(|| none_works(at), op(at)))
}

/// The fastest kernel of those that work and agree with the first.
fn timed(
    selector: &mut dyn KernelSelector,
    key: &str,
    kernels: &[Kernel],
    ins: &[&Tensor],
    at: &str,
) -> Result<(&'static str, KernelFn), NetError> {
    let kernels: Vec<&Kernel> = kernels.iter().filter(|k| k.name != FEW_KEYS).collect();
    if let [only] = kernels[..] {
        return Ok((only.name, (only.prepare)().map_err(op(at))?));
    }
    let cached = selector.cached(key).and_then(|name| kernels.iter().find(|k| k.name == name));
    if let Some(selected) = cached.and_then(|k| k.try_on(ins).ok().map(|(run, _)| (k.name, run))) {
        return Ok(selected);
    }
    let (mut prepared, mut first, mut error): (Vec<(&'static str, KernelFn)>, Option<Tensor>, _) =
        (Vec::new(), None, None);
    for kernel in kernels {
        match kernel.try_on(ins) {
            Ok((run, y)) => {
                if first.as_ref().map_or(Ok(true), |x| agree(x, &y)).map_err(torch(at))? {
                    prepared.push((kernel.name, run));
                }
                first.get_or_insert(y);
            }
            Err(e) => error = Some(e),
        }
    }
    let best = match prepared.len() {
        0 => return Err(error.map_or_else(|| none_works(at), op(at))),
        1 => 0,
        _ => {
            let names: Vec<&str> = prepared.iter().map(|(name, _)| *name).collect();
            selector.fastest(key, &names, &mut |i| prepared[i].1(ins).map(drop).map_err(op(at)))?
        }
    };
    Ok(prepared.swap_remove(best.min(prepared.len() - 1)))
}

/// Kernels whose results differ by more than this share of the largest magnitude are not taken.
const TOLERANCE: f64 = 1e-3;

/// Whether two results are equal up to rounding. Values that are not finite tell nothing and pass.
fn agree(x: &Tensor, y: &Tensor) -> Result<bool, TchError> {
    if x.size() != y.size() {
        return Ok(false);
    }
    let max = |t: &Tensor| t.f_abs().and_then(|t| t.f_max()).and_then(f64::try_from);
    let differ = max(&x.f_sub(y)?)? > TOLERANCE * max(x)? + 1e-6;
    Ok(!differ)
}
