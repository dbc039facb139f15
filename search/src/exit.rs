//! The end of the process.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::io::Write as _;

unsafe extern "C" {
    fn _exit(code: c_int) -> !;
}

/// Ends the process once all is written. libtorch would take its operators out of its tables first, one by one: a third of
/// what loading it costs.
pub fn now(code: i32) -> ! {
    // Whoever prints checks what comes of it; nothing is left here that could be told.
    let _ = std::io::stdout().flush();
    // SAFETY: it only ends the process; what a destructor of a static would do is not needed any more.
    unsafe { _exit(code) }
}
