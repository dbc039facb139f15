//! TorchScript for inference.

use std::ffi::{CString, c_void};
use std::path::Path;
use std::ptr::null_mut;

use tch::Tensor;

use crate::error::NativeError;
use crate::raw;

/// A frozen TorchScript module, optionally optimised for inference.
#[derive(Debug)]
pub struct ScriptModule(*mut c_void);

impl ScriptModule {
    /// Loads a module from a file and freezes it.
    ///
    /// # Errors
    /// When the file is not a module, or libtorch cannot freeze or optimise it.
    pub fn load(path: &Path, optimize: bool) -> Result<ScriptModule, NativeError> {
        let path = CString::new(path.to_string_lossy().as_bytes())?;
        let mut out = null_mut();
        // SAFETY: the path is a C string that outlives the call.
        unsafe { raw::check(raw::mn_script_load(path.as_ptr(), optimize.into(), &mut out))? };
        Ok(ScriptModule(out))
    }

    /// Runs the module on one tensor, to one tensor.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn run(&self, input: &Tensor) -> Result<Tensor, NativeError> {
        let mut out = null_mut();
        // SAFETY: the module is ours, the input is borrowed; `out` becomes a new tensor.
        unsafe {
            raw::check(raw::mn_script_run(self.0, input.as_ptr().cast(), &mut out))?;
            Ok(raw::tensor(out))
        }
    }
}

impl Drop for ScriptModule {
    fn drop(&mut self) {
        // SAFETY: made by `mn_script_load`, freed once.
        unsafe { raw::mn_free_script(self.0) }
    }
}
