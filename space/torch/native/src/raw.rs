//! The functions of `native.cpp` and `group.cpp`.

use std::ffi::{CStr, c_char, c_int, c_void};

use tch::Tensor;

use crate::error::NativeError;

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Arg {
    pub kind: i32,
    pub number: i64,
    pub real: f64,
    pub pointer: *const c_void,
}

unsafe extern "C" {
    pub(crate) fn mn_free_text(text: *mut c_char);
    pub(crate) fn mn_find(name: *const c_char, overload: *const c_char, out: *mut *mut c_void) -> *mut c_char;
    pub(crate) fn mn_free_operator(operator: *mut c_void);
    pub(crate) fn mn_call(operator: *const c_void, args: *const Arg, n: usize, out: *mut *mut c_void) -> *mut c_char;
    pub(crate) fn mn_free_value(value: *mut c_void);
    pub(crate) fn mn_tensor(value: *const c_void, out: *mut *mut c_void) -> *mut c_char;
    pub(crate) fn mn_few_key_attention(
        query: *const c_void,
        key: *const c_void,
        value: *const c_void,
        heads: i64,
        out: *mut *mut c_void,
    ) -> *mut c_char;
    pub(crate) fn mn_batch_norm_silu(
        tensors: *const *const c_void,
        momentum: f64,
        epsilon: f64,
        silu: c_int,
    ) -> *mut c_char;
    pub(crate) fn mn_batch_norm_act(
        tensors: *const *const c_void,
        momentum: f64,
        epsilon: f64,
        activation: i64,
        group: *const c_void,
        out: *mut *mut c_void,
    ) -> *mut c_char;
    pub(crate) fn mn_sync_batch_norm(
        tensors: *const *const c_void,
        momentum: f64,
        epsilon: f64,
        group: *const c_void,
        out: *mut *mut c_void,
    ) -> *mut c_char;
    pub(crate) fn mn_store_open(
        host: *const c_char,
        port: u16,
        serve: c_int,
        ranks: i64,
        prefix: *const c_char,
        timeout_ms: i64,
        out: *mut *mut c_void,
    ) -> *mut c_char;
    pub(crate) fn mn_free_store(store: *mut c_void);
    pub(crate) fn mn_store_set(store: *const c_void, key: *const c_char, value: *const c_char) -> *mut c_char;
    pub(crate) fn mn_store_get(store: *const c_void, key: *const c_char, out: *mut *mut c_char) -> *mut c_char;
    pub(crate) fn mn_group_open(
        store: *const c_void,
        rank: c_int,
        ranks: c_int,
        address: *const c_char,
        timeout_ms: i64,
        out: *mut *mut c_void,
    ) -> *mut c_char;
    pub(crate) fn mn_free_group(group: *mut c_void);
    pub(crate) fn mn_all_reduce(group: *const c_void, tensor: *const c_void) -> *mut c_char;
    pub(crate) fn mn_broadcast(group: *const c_void, tensor: *const c_void) -> *mut c_char;
    pub(crate) fn mn_monitored_barrier(group: *const c_void, timeout_ms: i64) -> *mut c_char;
    pub(crate) fn mn_keep_freed_memory();
    pub(crate) fn mn_accumulate_grad(tensor: *const c_void, gradient: *const c_void) -> *mut c_char;
    pub(crate) fn mn_inference_begin() -> *mut c_void;
    pub(crate) fn mn_inference_end(guard: *mut c_void);
    pub(crate) fn mn_watch_begin() -> *mut c_void;
    pub(crate) fn mn_watch_peak(watching: *const c_void) -> i64;
    pub(crate) fn mn_watch_end(watching: *mut c_void);
    pub(crate) fn mn_script_load(path: *const c_char, optimize: c_int, out: *mut *mut c_void) -> *mut c_char;
    pub(crate) fn mn_free_script(script: *mut c_void);
    pub(crate) fn mn_script_run(script: *mut c_void, input: *const c_void, out: *mut *mut c_void) -> *mut c_char;
}

/// Turns the message of a failed call into an error.
///
/// # Safety
/// `message` is null or what one of the functions above returned.
pub(crate) unsafe fn check(message: *mut c_char) -> Result<(), NativeError> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: not null, zero-terminated, and freed once, after the copy.
    unsafe {
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        mn_free_text(message);
        Err(NativeError::Torch(text))
    }
}

/// Takes ownership of a tensor.
///
/// # Safety
/// `out` is an `at::Tensor` made by `new` that nothing else owns.
pub(crate) unsafe fn tensor(out: *mut c_void) -> Tensor {
    // SAFETY: tch holds its tensors the same way.
    unsafe { Tensor::from_ptr(out.cast()) }
}
