//! The file of this program, which it starts again for what needs a process of its own.

use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;

static FILE: OnceLock<PathBuf> = OnceLock::new();

/// The file of this program.
///
/// # Errors
/// When the system does not tell it.
pub fn file() -> io::Result<PathBuf> {
    FILE.get().map_or_else(std::env::current_exe, |file| Ok(file.clone()))
}

/// Sets the file of the program, where another program runs it; the first one that is set stays.
pub fn set_file(file: PathBuf) {
    let _ = FILE.set(file);
}
