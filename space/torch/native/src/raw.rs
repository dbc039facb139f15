//! The functions of `native.cpp`.

use std::ffi::{CStr, c_char, c_int, c_void};

use tch::Tensor;

use crate::NativeError;

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Arg {
    pub kind: i32,
    pub number: i64,
    pub real: f64,
    pub pointer: *const c_void,
}

unsafe extern "C" {
    fn mn_free_text(text: *mut c_char);
    pub(crate) fn mn_find(name: *const c_char, overload: *const c_char, out: *mut *mut c_void) -> *mut c_char;
    pub(crate) fn mn_free_operation(operation: *mut c_void);
    pub(crate) fn mn_call(operation: *const c_void, args: *const Arg, n: usize, out: *mut *mut c_void) -> *mut c_char;
    pub(crate) fn mn_free_value(value: *mut c_void);
    pub(crate) fn mn_tensor(value: *const c_void, out: *mut *mut c_void) -> *mut c_char;
    pub(crate) fn mn_few_keys(
        query: *const c_void,
        key: *const c_void,
        value: *const c_void,
        heads: i64,
        out: *mut *mut c_void,
    ) -> *mut c_char;
    pub(crate) fn mn_norm_of_batch(
        tensors: *const *const c_void,
        momentum: f64,
        epsilon: f64,
        silu: c_int,
    ) -> *mut c_char;
    pub(crate) fn mn_inference_begin() -> *mut c_void;
    pub(crate) fn mn_inference_end(guard: *mut c_void);
    pub(crate) fn mn_watch_begin() -> *mut c_void;
    pub(crate) fn mn_watch_peak(watching: *const c_void) -> i64;
    pub(crate) fn mn_watch_end(watching: *mut c_void);
    pub(crate) fn mn_script_load(path: *const c_char, optimize: c_int, out: *mut *mut c_void) -> *mut c_char;
    pub(crate) fn mn_free_script(script: *mut c_void);
    pub(crate) fn mn_script_run(script: *mut c_void, input: *const c_void, out: *mut *mut c_void) -> *mut c_char;
}

/// The message of a call that failed.
///
/// # Safety
/// `message` is null or what one of the functions above returned.
pub(crate) unsafe fn check(message: *mut c_char) -> Result<(), NativeError> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: not null, ends in a zero, and is freed once, after it was copied.
    unsafe {
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        mn_free_text(message);
        Err(NativeError(text))
    }
}

/// Takes a tensor over.
///
/// # Safety
/// `out` is an `at::Tensor` made by `new`, owned by nobody else.
pub(crate) unsafe fn tensor(out: *mut c_void) -> Tensor {
    // SAFETY: tch holds its tensors the same way.
    unsafe { Tensor::from_ptr(out.cast()) }
}
