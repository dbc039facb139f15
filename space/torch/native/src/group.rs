//! c10d's store and its process group on gloo.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{null, null_mut};
use std::time::Duration;

use tch::{Device, Tensor};

use crate::error::NativeError;
use crate::raw;

/// How a process reaches a [`Store`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreAddress {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether this process holds it.
    pub serve: bool,
    /// Processes that use it.
    pub ranks: usize,
    /// What every key begins with.
    pub prefix: String,
}

/// A key-value store that the processes of a group share (`TCPStore`).
#[derive(Debug)]
pub struct Store(*mut c_void);

// SAFETY: the store locks its connection.
unsafe impl Send for Store {}
// SAFETY: as above.
unsafe impl Sync for Store {}

impl Store {
    /// Connects to it, or holds it.
    ///
    /// # Errors
    /// When nobody answers in time, or the port is taken.
    pub fn open(at: &StoreAddress, timeout: Duration) -> Result<Store, NativeError> {
        let (host, prefix) = (CString::new(at.host.as_str())?, CString::new(at.prefix.as_str())?);
        let (serve, ranks, mut out) = (at.serve.into(), at.ranks as i64, null_mut());
        // SAFETY: both are C strings that outlive the call.
        unsafe {
            let opened =
                raw::mn_store_open(host.as_ptr(), at.port, serve, ranks, prefix.as_ptr(), ms(timeout), &mut out);
            raw::check(opened)?;
        }
        Ok(Store(out))
    }

    /// Writes a key.
    ///
    /// # Errors
    /// When the store is gone.
    pub fn set(&self, key: &str, value: &str) -> Result<(), NativeError> {
        let (key, value) = (CString::new(key)?, CString::new(value)?);
        // SAFETY: the store is ours, and both are C strings that outlive the call.
        unsafe { raw::check(raw::mn_store_set(self.0, key.as_ptr(), value.as_ptr())) }
    }

    /// Reads a key, and waits for it.
    ///
    /// # Errors
    /// When it does not come in time, or the store is gone.
    pub fn get(&self, key: &str) -> Result<String, NativeError> {
        let (key, mut out) = (CString::new(key)?, null_mut::<c_char>());
        // SAFETY: the store is ours, the key a C string; `out` becomes a C string that is freed once, after the copy.
        unsafe {
            raw::check(raw::mn_store_get(self.0, key.as_ptr(), &mut out))?;
            let text = CStr::from_ptr(out).to_string_lossy().into_owned();
            raw::mn_free_text(out);
            Ok(text)
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: made by `mn_store_open`, freed once.
        unsafe { raw::mn_free_store(self.0) }
    }
}

/// A process group on gloo (`ProcessGroupGloo`). All ranks call the same collectives in the same order.
#[derive(Debug)]
pub struct ProcessGroup(*mut c_void);

// SAFETY: collectives are queued under a lock.
unsafe impl Send for ProcessGroup {}
// SAFETY: as above.
unsafe impl Sync for ProcessGroup {}

impl ProcessGroup {
    /// Connects to all ranks. `address` is this process's own as the others reach it; that of the host's name if left out.
    /// No collective takes longer than `timeout`.
    ///
    /// # Errors
    /// When not all come in time.
    pub fn open(
        store: &Store,
        (rank, ranks): (usize, usize),
        address: Option<&str>,
        timeout: Duration,
    ) -> Result<ProcessGroup, NativeError> {
        let (address, mut out) = (address.map(CString::new).transpose()?, null_mut());
        let at = address.as_ref().map_or(null(), |a| a.as_ptr());
        // SAFETY: the store is ours; the address is a C string that outlives the call, or null.
        unsafe { raw::check(raw::mn_group_open(store.0, rank as i32, ranks as i32, at, ms(timeout), &mut out))? };
        Ok(ProcessGroup(out))
    }

    /// Replaces a contiguous tensor on the CPU by its sum over the ranks: the same bits on all of them, and in every run.
    ///
    /// # Errors
    /// When a rank is gone, or does not take part in time.
    pub fn all_reduce(&self, tensor: &Tensor) -> Result<(), NativeError> {
        fits(tensor)?;
        // SAFETY: group and tensor outlive the call, which waits until all is done.
        unsafe { raw::check(raw::mn_all_reduce(self.0, tensor.as_ptr().cast())) }
    }

    /// Replaces a contiguous tensor on the CPU by that of rank 0.
    ///
    /// # Errors
    /// As for [`ProcessGroup::all_reduce`].
    pub fn broadcast(&self, tensor: &Tensor) -> Result<(), NativeError> {
        fits(tensor)?;
        // SAFETY: as above.
        unsafe { raw::check(raw::mn_broadcast(self.0, tensor.as_ptr().cast())) }
    }

    /// Waits for all ranks.
    ///
    /// # Errors
    /// On rank 0, which ranks did not come in time.
    pub fn monitored_barrier(&self, timeout: Duration) -> Result<(), NativeError> {
        // SAFETY: the group is ours.
        unsafe { raw::check(raw::mn_monitored_barrier(self.0, ms(timeout))) }
    }

    pub(crate) fn raw(&self) -> *const c_void {
        self.0
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        // SAFETY: made by `mn_group_open`, freed once.
        unsafe { raw::mn_free_group(self.0) }
    }
}

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn fits(tensor: &Tensor) -> Result<(), NativeError> {
    match tensor.device() == Device::Cpu && tensor.is_contiguous() {
        true => Ok(()),
        false => Err(NativeError::Torch("a collective takes contiguous tensors on the CPU".to_string())),
    }
}
