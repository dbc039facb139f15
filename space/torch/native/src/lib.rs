//! What libtorch offers and tch does not: any operation of the dispatcher by its name, TorchScript frozen and optimised
//! for inference, inference mode, and what its allocator holds; and two computations that libtorch is slow at.
mod raw;
mod script;
mod watch;

use std::ffi::{CString, c_void};
use std::marker::PhantomData;
use std::ptr::null_mut;

use tch::Tensor;

pub use script::Script;
pub use watch::Watch;

/// What libtorch said.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NativeError(String);

/// An argument of an operation, in the order of its schema.
#[derive(Clone, Copy, Debug)]
pub enum Arg<'a> {
    /// Nothing, where the schema allows it.
    None,
    /// A tensor.
    Tensor(&'a Tensor),
    /// What another operation made.
    Value(&'a Value),
    /// A whole number.
    Int(i64),
    /// A number.
    Double(f64),
    /// Whole numbers.
    Ints(&'a [i64]),
    /// Text.
    Text(&'a str),
    /// A list of numbers.
    Scalars(&'a [f64]),
}

impl Arg<'_> {
    fn raw(&self) -> raw::Arg {
        let plain = |kind, number, real, pointer| raw::Arg { kind, number, real, pointer };
        match *self {
            Arg::None => plain(0, 0, 0.0, null_mut()),
            Arg::Tensor(t) => plain(1, 0, 0.0, t.as_ptr().cast::<c_void>()),
            Arg::Value(v) => plain(2, 0, 0.0, v.0.cast_const()),
            Arg::Int(n) => plain(3, n, 0.0, null_mut()),
            Arg::Double(x) => plain(4, 0, x, null_mut()),
            Arg::Ints(list) => plain(5, list.len() as i64, 0.0, list.as_ptr().cast()),
            Arg::Text(text) => plain(6, text.len() as i64, 0.0, text.as_ptr().cast()),
            Arg::Scalars(list) => plain(7, list.len() as i64, 0.0, list.as_ptr().cast()),
        }
    }
}

/// A value of libtorch's, of any type: a tensor, or weights packed for one operation.
#[derive(Debug)]
pub struct Value(*mut c_void);

impl Value {
    /// The tensor, if it is one.
    ///
    /// # Errors
    /// When it is none.
    pub fn tensor(&self) -> Result<Tensor, NativeError> {
        let mut out = null_mut();
        // SAFETY: `self.0` is an IValue of ours; `out` becomes a tensor of its own, which tch takes over.
        unsafe {
            raw::check(raw::mn_tensor(self.0, &mut out))?;
            Ok(raw::tensor(out))
        }
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        // SAFETY: made by `mn_call`, freed once.
        unsafe { raw::mn_free_value(self.0) }
    }
}

/// An operation of libtorch's dispatcher.
#[derive(Debug)]
pub struct Operation(*mut c_void);

// SAFETY: a handle into the dispatcher's table, which lives as long as the process and is locked by libtorch.
unsafe impl Send for Operation {}
// SAFETY: as above; calling reads the handle only.
unsafe impl Sync for Operation {}

impl Operation {
    /// Finds an operation, such as `mkldnn::_convolution_pointwise`, and one of its overloads; the first is named ``.
    ///
    /// # Errors
    /// When this libtorch has none of that name.
    pub fn find(name: &str, overload: &str) -> Result<Operation, NativeError> {
        let text = |s: &str| CString::new(s).map_err(|e| NativeError(e.to_string()));
        let (name, overload, mut out) = (text(name)?, text(overload)?, null_mut());
        // SAFETY: both are C strings that outlive the call.
        unsafe { raw::check(raw::mn_find(name.as_ptr(), overload.as_ptr(), &mut out))? };
        Ok(Operation(out))
    }

    /// Calls it.
    ///
    /// # Errors
    /// When the arguments do not fit, or libtorch refuses.
    pub fn call(&self, args: &[Arg]) -> Result<Value, NativeError> {
        const MOST: usize = 16;
        let mut raws = [Arg::None.raw(); MOST];
        let Some(filled) = raws.get_mut(..args.len()) else {
            return Err(NativeError(format!("{} arguments; at most {MOST} are expected", args.len())));
        };
        for (to, from) in filled.iter_mut().zip(args) {
            *to = from.raw();
        }
        let mut out = null_mut();
        // SAFETY: what the arguments point to is borrowed until the call returns, which copies it.
        unsafe { raw::check(raw::mn_call(self.0, raws.as_ptr(), args.len(), &mut out))? };
        Ok(Value(out))
    }

    /// Calls it for a tensor.
    ///
    /// # Errors
    /// When the arguments do not fit, libtorch refuses, or the result is no tensor.
    pub fn tensor(&self, args: &[Arg]) -> Result<Tensor, NativeError> {
        self.call(args)?.tensor()
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        // SAFETY: made by `mn_find`, freed once.
        unsafe { raw::mn_free_operation(self.0) }
    }
}

/// The most keys of [`few_keys`].
pub const MOST_KEYS: usize = 16;

/// Attention of rows `[.., rows, heads * d]` to at most [`MOST_KEYS`] keys, without a bias: many images side by side, on one
/// thread. Nothing is recorded for gradients.
///
/// # Errors
/// When the sizes do not fit, or there are too many keys.
pub fn few_keys(query: &Tensor, key: &Tensor, value: &Tensor, heads: i64) -> Result<Tensor, NativeError> {
    let at = |t: &Tensor| t.as_ptr().cast::<c_void>();
    let mut out = null_mut();
    // SAFETY: three tensors that outlive the call; `out` becomes a tensor of its own, which tch takes over.
    unsafe {
        raw::check(raw::mn_few_keys(at(query), at(key), at(value), heads, &mut out))?;
        Ok(raw::tensor(out))
    }
}

/// What a batch norm has: scale, shift, running mean, running variance.
pub type Norm<'a> = [&'a Tensor; 4];

/// A batch norm by the statistics of the batch, in place, on maps `[B, C, H, W]` whose channels lie together in memory, then SiLU
/// if asked, on one thread. The running statistics move towards those of the batch by `momentum`. Nothing is recorded for
/// gradients.
///
/// # Errors
/// When the sizes, or the order in memory, do not fit.
pub fn norm_of_batch(
    x: &mut Tensor,
    norm: Norm<'_>,
    momentum: f64,
    epsilon: f64,
    silu: bool,
) -> Result<(), NativeError> {
    let [weight, bias, mean, variance] = norm;
    let all = [&*x, weight, bias, mean, variance].map(|t| t.as_ptr().cast::<c_void>());
    // SAFETY: five tensors that outlive the call.
    unsafe { raw::check(raw::mn_norm_of_batch(all.as_ptr(), momentum, epsilon, silu.into())) }
}

/// While it lives, this thread records nothing for gradients, not even versions of tensors.
#[derive(Debug)]
pub struct Inference(*mut c_void, PhantomData<*const ()>);

impl Inference {
    /// Begins.
    pub fn begin() -> Inference {
        // SAFETY: the guard stays on this thread, since the type is neither Send nor Sync.
        Inference(unsafe { raw::mn_inference_begin() }, PhantomData)
    }
}

impl Drop for Inference {
    fn drop(&mut self) {
        // SAFETY: made by `begin` on this thread, ended once.
        unsafe { raw::mn_inference_end(self.0) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
