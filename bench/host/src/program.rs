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

/// Says which file the program is, where another one runs it; the first that is said stays.
pub fn is(file: PathBuf) {
    let _ = FILE.set(file);
}
