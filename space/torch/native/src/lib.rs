//! What libtorch offers and tch does not: operators of the dispatcher by name, TorchScript frozen and optimised for inference,
//! inference mode, collectives of c10d, and the memory that its allocator holds; and two computations that libtorch is slow at,
//! with their gradients.

mod error;
mod group;
mod raw;
mod script;
mod watch;

use std::ffi::{CString, c_void};
use std::marker::PhantomData;
use std::ptr::{null, null_mut};

use tch::Tensor;

pub use error::NativeError;
pub use group::{ProcessGroup, Store, StoreAddress};
pub use script::ScriptModule;
pub use watch::AllocationWatch;

/// An argument of an operator, in the order of its schema.
#[derive(Clone, Copy, Debug)]
pub enum Arg<'a> {
    /// Nothing, where the schema allows it.
    None,
    /// A tensor.
    Tensor(&'a Tensor),
    /// The result of another operator.
    Value(&'a Value),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// A list of integers.
    Ints(&'a [i64]),
    /// Text.
    Text(&'a str),
    /// A list of scalars.
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

/// A value of any of libtorch's types (an `IValue`): a tensor, or weights packed for an operator.
#[derive(Debug)]
pub struct Value(*mut c_void);

impl Value {
    /// The value as a tensor.
    ///
    /// # Errors
    /// When it is of another type.
    pub fn tensor(&self) -> Result<Tensor, NativeError> {
        let mut out = null_mut();
        // SAFETY: `self.0` is an IValue of ours; `out` becomes a new tensor, which tch owns.
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

/// An operator of libtorch's dispatcher.
#[derive(Debug)]
pub struct Operator(*mut c_void);

// SAFETY: a handle into the dispatcher's table, which lives as long as the process and which libtorch locks.
unsafe impl Send for Operator {}
// SAFETY: as above; calling reads the handle only.
unsafe impl Sync for Operator {}

impl Operator {
    /// Finds an operator, such as `mkldnn::_convolution_pointwise`, by its name and its overload, which may be empty.
    ///
    /// # Errors
    /// When this libtorch has no such operator.
    pub fn find(name: &str, overload: &str) -> Result<Operator, NativeError> {
        let (name, overload, mut out) = (CString::new(name)?, CString::new(overload)?, null_mut());
        // SAFETY: both are C strings that outlive the call.
        unsafe { raw::check(raw::mn_find(name.as_ptr(), overload.as_ptr(), &mut out))? };
        Ok(Operator(out))
    }

    /// Calls it.
    ///
    /// # Errors
    /// When the arguments do not fit, or libtorch fails.
    pub fn call(&self, args: &[Arg]) -> Result<Value, NativeError> {
        const MOST: usize = 16;
        let mut raws = [Arg::None.raw(); MOST];
        let Some(filled) = raws.get_mut(..args.len()) else {
            return Err(NativeError::Arguments { found: args.len(), most: MOST });
        };
        for (to, from) in filled.iter_mut().zip(args) {
            *to = from.raw();
        }
        let mut out = null_mut();
        // SAFETY: the call copies what the arguments point to, and that is borrowed until it returns.
        unsafe { raw::check(raw::mn_call(self.0, raws.as_ptr(), args.len(), &mut out))? };
        Ok(Value(out))
    }

    /// Calls it and returns its result as a tensor.
    ///
    /// # Errors
    /// Those of [`Operator::call`], and when the result is not a tensor.
    pub fn tensor(&self, args: &[Arg]) -> Result<Tensor, NativeError> {
        self.call(args)?.tensor()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // SAFETY: made by `mn_find`, freed once.
        unsafe { raw::mn_free_operator(self.0) }
    }
}

/// The most keys that [`few_key_attention`] takes.
pub const MAX_KEYS: usize = 16;

/// Attention of rows `[.., rows, heads * d]` to at most [`MAX_KEYS`] keys, without a bias, vectorised over images and heads.
///
/// # Errors
/// When the shapes do not fit, or there are too many keys.
pub fn few_key_attention(query: &Tensor, key: &Tensor, value: &Tensor, heads: i64) -> Result<Tensor, NativeError> {
    let at = |t: &Tensor| t.as_ptr().cast::<c_void>();
    let mut out = null_mut();
    // SAFETY: three tensors that outlive the call; `out` becomes a new tensor, which tch owns.
    unsafe {
        raw::check(raw::mn_few_key_attention(at(query), at(key), at(value), heads, &mut out))?;
        Ok(raw::tensor(out))
    }
}

/// The tensors of a batch norm: scale, shift, running mean, running variance.
pub type BatchNormTensors<'a> = [&'a Tensor; 4];

/// An in-place training-mode batch norm on a channels-last map `[B, C, H, W]`, with an optional SiLU. Updates the running
/// statistics with `momentum`. Records nothing for gradients.
///
/// # Errors
/// When the shapes or the memory format do not fit.
pub fn batch_norm_silu(
    x: &mut Tensor,
    norm: BatchNormTensors<'_>,
    momentum: f64,
    epsilon: f64,
    silu: bool,
) -> Result<(), NativeError> {
    let [weight, bias, mean, variance] = norm;
    let all = [&*x, weight, bias, mean, variance].map(|t| t.as_ptr().cast::<c_void>());
    // SAFETY: five tensors that outlive the call.
    unsafe { raw::check(raw::mn_batch_norm_silu(all.as_ptr(), momentum, epsilon, silu.into())) }
}

/// What [`batch_norm_act`] applies after the batch norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormAct {
    /// Nothing.
    None,
    /// x · sigmoid(x).
    Silu,
    /// max(x, 0).
    Relu,
    /// [`NormAct::Relu`] up to 6.
    Relu6,
    /// x · relu6(x + 3) / 6.
    HardSwish,
}

/// How a batch norm is trained.
#[derive(Clone, Copy, Debug)]
pub struct NormTraining<'a> {
    /// Whether the running statistics are updated.
    pub track: bool,
    /// The share of the batch in them.
    pub momentum: f64,
    /// Added to the variance.
    pub epsilon: f64,
    /// The ranks whose batches count together; this process's batch alone if there is none. It must live until the backward
    /// pass is done.
    pub group: Option<&'a ProcessGroup>,
}

/// A training-mode batch norm on a channels-last map `[B, C, H, W]` and the activation after it, to a new map. The same bits
/// on any number of threads.
///
/// # Errors
/// When the shapes or the memory format do not fit, or a rank is gone.
pub fn batch_norm_act(
    x: &Tensor,
    norm: BatchNormTensors<'_>,
    how: NormTraining<'_>,
    act: NormAct,
) -> Result<Tensor, NativeError> {
    let (all, group) = (norm_tensors(x, norm, how.track), group_of(how));
    let mut out = null_mut();
    // SAFETY: tensors and a group that outlive the call, or null; `out` becomes a new tensor, which tch owns.
    unsafe {
        let done = raw::mn_batch_norm_act(all.as_ptr(), how.momentum, how.epsilon, act as i64, group, &mut out);
        raw::check(done)?;
        Ok(raw::tensor(out))
    }
}

/// A training-mode batch norm of any map `[B, C, ..]` on any device over the batches of all ranks of a group.
///
/// # Errors
/// When libtorch fails, or a rank is gone.
pub fn sync_batch_norm(x: &Tensor, norm: BatchNormTensors<'_>, how: NormTraining<'_>) -> Result<Tensor, NativeError> {
    if how.group.is_none() {
        return Err(NativeError::Torch("a synchronised batch norm without a process group".to_string()));
    }
    let (all, group) = (norm_tensors(x, norm, how.track), group_of(how));
    let mut out = null_mut();
    // SAFETY: tensors and a group that outlive the call, or null; `out` becomes a new tensor, which tch owns.
    unsafe {
        raw::check(raw::mn_sync_batch_norm(all.as_ptr(), how.momentum, how.epsilon, group, &mut out))?;
        Ok(raw::tensor(out))
    }
}

fn norm_tensors(x: &Tensor, norm: BatchNormTensors<'_>, track: bool) -> [*const c_void; 5] {
    let [weight, bias, mean, variance] = norm;
    let mut all = [x, weight, bias, mean, variance].map(|t| t.as_ptr().cast::<c_void>());
    if !track {
        all[3..].fill(null());
    }
    all
}

fn group_of(how: NormTraining<'_>) -> *const c_void {
    how.group.map_or(null(), ProcessGroup::raw)
}

/// Keeps memory that is freed for the next step instead of giving it back to the system: for a process that trains, whose
/// steps need the same memory again and again.
pub fn keep_freed_memory() {
    // SAFETY: changes settings of the allocator, which locks them.
    unsafe { raw::mn_keep_freed_memory() }
}

/// Adds to a tensor's gradient, as a backward pass does.
///
/// # Errors
/// When the shapes differ.
pub fn accumulate_grad(tensor: &Tensor, gradient: &Tensor) -> Result<(), NativeError> {
    let at = |t: &Tensor| t.as_ptr().cast::<c_void>();
    // SAFETY: two tensors that outlive the call.
    unsafe { raw::check(raw::mn_accumulate_grad(at(tensor), at(gradient))) }
}

/// A guard of PyTorch's inference mode on this thread: nothing is recorded for gradients, not even versions of tensors.
#[derive(Debug)]
pub struct InferenceMode(*mut c_void, PhantomData<*const ()>);

impl InferenceMode {
    /// Enters inference mode.
    pub fn begin() -> InferenceMode {
        // SAFETY: the guard stays on this thread, since the type is neither Send nor Sync.
        InferenceMode(unsafe { raw::mn_inference_begin() }, PhantomData)
    }
}

impl Drop for InferenceMode {
    fn drop(&mut self) {
        // SAFETY: made by `begin` on this thread, ended once.
        unsafe { raw::mn_inference_end(self.0) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
