//! What libtorch's allocator holds at most while something runs.

use std::ffi::c_void;
use std::marker::PhantomData;

use crate::raw;

/// While it lives, the tensors that this thread makes on the processor are counted. What other threads make, and what
/// libraries below libtorch allocate for themselves, is not; nor is the release of what was there before.
#[derive(Debug)]
pub struct Watch(*mut c_void, PhantomData<*const ()>);

impl Watch {
    /// Begins at zero bytes.
    pub fn begin() -> Watch {
        // SAFETY: the guard stays on this thread, since the type is neither Send nor Sync.
        Watch(unsafe { raw::mn_watch_begin() }, PhantomData)
    }

    /// The most bytes that were held at once since the beginning.
    pub fn peak(&self) -> u64 {
        // SAFETY: made by `begin` on this thread, and not ended yet.
        unsafe { raw::mn_watch_peak(self.0) }.unsigned_abs()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // SAFETY: made by `begin` on this thread, ended once.
        unsafe { raw::mn_watch_end(self.0) }
    }
}
