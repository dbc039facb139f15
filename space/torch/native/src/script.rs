//! TorchScript as it is deployed.

use std::ffi::{CString, c_void};
use std::path::Path;
use std::ptr::null_mut;

use tch::Tensor;

use crate::{NativeError, raw};

/// A TorchScript module: frozen and, if asked for, optimised for inference.
#[derive(Debug)]
pub struct Script(*mut c_void);

impl Script {
    /// Loads a module from a file, and freezes it.
    ///
    /// # Errors
    /// When the file is no module, or libtorch cannot freeze or optimise it.
    pub fn load(path: &Path, optimize: bool) -> Result<Script, NativeError> {
        let path = CString::new(path.to_string_lossy().as_bytes()).map_err(|e| NativeError(e.to_string()))?;
        let mut out = null_mut();
        // SAFETY: the path is a C string that outlives the call.
        unsafe { raw::check(raw::mn_script_load(path.as_ptr(), optimize.into(), &mut out))? };
        Ok(Script(out))
    }

    /// Runs one tensor to one tensor.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn run(&self, input: &Tensor) -> Result<Tensor, NativeError> {
        let mut out = null_mut();
        // SAFETY: the module is ours, the input is borrowed; `out` becomes a tensor of its own.
        unsafe {
            raw::check(raw::mn_script_run(self.0, input.as_ptr().cast(), &mut out))?;
            Ok(raw::tensor(out))
        }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // SAFETY: made by `mn_script_load`, freed once.
        unsafe { raw::mn_free_script(self.0) }
    }
}
