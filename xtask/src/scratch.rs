//! Where tests put their temporary files: into memory where that is safe, since they wait for a disk most.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Files in memory on Linux.
const MEMORY: &str = "/dev/shm";
/// Begins the names of our folders there; the number of the process follows.
const PREFIX: &str = "mobilenas-tests-";
/// Free space that is wanted, in KiB: eight times what all tests were seen to have at a time.
const FREE_KIB: u64 = 2 << 20;

/// A folder in memory, which goes when this is dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new folder; none where `TMPDIR` already names a place, or files in memory have too little room or may not be
    /// executed, as tests do.
    pub fn in_memory() -> Option<Self> {
        let chosen = std::env::var_os("TMPDIR").is_some_and(|place| !place.is_empty());
        if chosen || free_kib(Path::new(MEMORY))? < FREE_KIB {
            return None;
        }
        remove_old(Path::new(MEMORY));
        Self::below(Path::new(MEMORY))
    }

    fn below(root: &Path) -> Option<Self> {
        let folder = root.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&folder).ok()?;
        let scratch = Self(folder);
        let script = scratch.0.join("script");
        fs::write(&script, "#!/bin/sh\nexit 0\n").ok()?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).ok()?;
        Command::new(&script).status().is_ok_and(|status| status.success()).then_some(scratch)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is by the next run.
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Removes folders of runs that were killed.
fn remove_old(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|n| n.parse::<u32>().ok());
        if process.is_some_and(|process| !Path::new("/proc").join(process.to_string()).exists()) {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

/// As `df` says.
fn free_kib(folder: &Path) -> Option<u64> {
    let output = Command::new("df").args(["-k", "--output=avail"]).arg(folder).output().ok()?;
    String::from_utf8(output.stdout).ok()?.lines().nth(1)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_its_run_and_those_of_killed_runs_with_the_next() -> std::io::Result<()> {
        let root = std::env::temp_dir().join(format!("scratch-{}", std::process::id()));
        // No process has so high a number.
        let (old, other) = (root.join(format!("{PREFIX}4294967295")), root.join("another-1"));
        fs::create_dir_all(&old)?;
        fs::create_dir_all(&other)?;
        remove_old(&root);
        assert!(!old.exists() && other.exists());
        let scratch = Scratch::below(&root);
        let path = scratch.as_ref().map(|scratch| scratch.path().to_path_buf());
        assert!(path.as_ref().is_some_and(|path| path.is_dir()));
        assert!(free_kib(&root).is_some_and(|free| free > 0));
        // One of this process is there: a second is none.
        assert!(Scratch::below(&root).is_none() && path.as_ref().is_some_and(|path| path.is_dir()));
        drop(scratch);
        assert!(path.is_some_and(|path| !path.exists()));
        fs::remove_dir_all(&root)
    }
}
