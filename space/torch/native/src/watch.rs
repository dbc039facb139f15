//! The peak memory of libtorch's allocator.

use std::ffi::c_void;
use std::marker::PhantomData;

use crate::raw;

/// Counts the memory of CPU tensors that this thread allocates while the watch lives. Allocations of other threads and of
/// libraries below libtorch do not count, nor does the release of older tensors.
#[derive(Debug)]
pub struct AllocationWatch(*mut c_void, PhantomData<*const ()>);

impl AllocationWatch {
    /// Begins to count, from zero bytes.
    pub fn begin() -> AllocationWatch {
        // SAFETY: the guard stays on this thread, since the type is neither Send nor Sync.
        AllocationWatch(unsafe { raw::mn_watch_begin() }, PhantomData)
    }

    /// The most bytes held at the same time since the beginning.
    pub fn peak(&self) -> u64 {
        // SAFETY: made by `begin` on this thread, and not ended yet.
        unsafe { raw::mn_watch_peak(self.0) }.unsigned_abs()
    }
}

impl Drop for AllocationWatch {
    fn drop(&mut self) {
        // SAFETY: made by `begin` on this thread, ended once.
        unsafe { raw::mn_watch_end(self.0) }
    }
}
