//! `--out FILE`, where `-` is standard output.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use anyhow::Result;
use mobilenas_host::write::{Target, write_whole};
use mobilenas_host::{errln, outln};

use super::Input;

/// The place that `--out` names.
pub fn place(out: &Path) -> PathBuf {
    if out == Path::new("-") { PathBuf::from("/dev/stdout") } else { out.to_path_buf() }
}

/// Writes a file whole, or into the pipe or terminal that `out` names.
///
/// # Errors
/// When the disk refuses.
pub fn write(out: &Path, bytes: &[u8]) -> Result<()> {
    let refused = |e| Input(format!("{}: {e}, expected a place for the file", out.display()));
    Ok(write_whole(&place(out), bytes).map_err(refused)?)
}

/// Says what was written: on standard error where the bytes may have gone to standard output.
///
/// # Errors
/// When standard output cannot be written.
pub fn say(out: &Path, text: impl Display) -> Result<()> {
    match Target::of(&place(out)) {
        Ok(Target::Stream(_)) => errln!("{text}"),
        _ => outln!("{text}")?,
    }
    Ok(())
}
