//! `--out FILE`, where `-` is standard output.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use anyhow::Result;
use mobilenas_host::write::{Target, write_whole};

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
pub fn say(out: &Path, text: impl Display) {
    match Target::of(&place(out)) {
        Ok(Target::Stream(_)) => eprintln!("{text}"),
        _ => println!("{text}"),
    }
}
