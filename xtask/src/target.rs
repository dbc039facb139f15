//! The target folder, and how a folder in it appears finished or not at all: it is prepared beside its place, in a folder named
//! `NAME.partial-PROCESS`, and renamed into place at the end. What an interrupted process leaves is swept at the next
//! start.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The mark between a folder's name and the process that prepares it.
const MARK: &str = ".partial-";

/// Cargo's target folder.
#[derive(Debug, Clone)]
pub struct TargetDir {
    /// Its absolute path.
    pub path: PathBuf,
}

impl TargetDir {
    /// Finds it as cargo does: CARGO_TARGET_DIR where that is set.
    pub fn find() -> Result<Self> {
        let own = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"].iter().find_map(std::env::var_os);
        let target = match own {
            Some(folder) => PathBuf::from(folder),
            None => root().join("target"),
        };
        let target = std::path::absolute(&target)
            .with_context(|| format!("the target folder {} has no absolute path", target.display()))?;
        Ok(Self { path: target })
    }

    /// The folder that holds the fetched datasets.
    pub fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// Removes what interrupted processes left behind.
    pub fn sweep(&self) {
        for folder in [self.path.clone(), self.data()] {
            for stale in stale_in(&folder, process_lives) {
                eprintln!("removing {}, left by an interrupted setup", stale.display());
                remove(&stale);
            }
        }
    }
}

/// The repository's root.
pub fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let manifest = PathBuf::from(manifest);
    manifest.parent().map_or(manifest.clone(), Path::to_path_buf)
}

/// The process in the name of an unfinished folder.
fn owner(name: &str) -> Option<u32> {
    let (before, process) = name.rsplit_once(MARK)?;
    (!before.is_empty()).then(|| process.parse().ok())?
}

/// Unfinished folders in `folder` whose process is gone. One with our own number is from an earlier process too, since
/// nothing is begun before the sweep.
fn stale_in(folder: &Path, lives: impl Fn(u32) -> bool) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| {
            let process = entry.file_name().to_str().and_then(owner);
            process.is_some_and(|process| process == std::process::id() || !lives(process))
        })
        .map(|entry| entry.path())
        .collect()
}

/// Whether a process of that number lives and is one of ours. Where that can't be seen, it is taken to live.
fn process_lives(process: u32) -> bool {
    if !Path::new("/proc/self/comm").exists() {
        return true;
    }
    fs::read_to_string(format!("/proc/{process}/comm")).is_ok_and(|name| name.trim() == "xtask")
}

/// Removes a folder. That it can't be is no reason to stop: its name is in nobody's way, and the next sweep tries again.
fn remove(folder: &Path) {
    match fs::remove_dir_all(folder) {
        Err(error) if folder.exists() => eprintln!("warning: {} could not be removed: {error}", folder.display()),
        _ => (),
    }
}

/// A folder in preparation; it is removed when dropped.
#[derive(Debug)]
pub struct Staging {
    folder: PathBuf,
    place: PathBuf,
}

impl Staging {
    /// Begins to prepare `place`.
    pub fn begin(place: &Path) -> Result<Self> {
        let mut folder = place.as_os_str().to_owned();
        folder.push(format!("{MARK}{}", std::process::id()));
        let folder = PathBuf::from(folder);
        let this = Self { folder, place: place.to_path_buf() };
        for part in [this.scratch(), this.tree()] {
            fs::create_dir_all(&part).with_context(|| format!("cannot create the folder {}", part.display()))?;
        }
        Ok(this)
    }

    /// For downloads: thrown away at the end.
    pub fn scratch(&self) -> PathBuf {
        self.folder.join("scratch")
    }

    /// What comes into place.
    pub fn tree(&self) -> PathBuf {
        self.folder.join("tree")
    }

    /// Moves the tree into place, in one step. `finished` says whether what is already there is as good as ours, which
    /// is so when another process was faster; anything else there makes way.
    pub fn finish(self, finished: impl Fn(&Path) -> bool) -> Result<()> {
        if finished(&self.place) {
            return Ok(());
        }
        if self.place.symlink_metadata().is_ok() {
            eprintln!("replacing {}, which is not finished or of another make", self.place.display());
            fs::rename(&self.place, self.folder.join("old"))
                .with_context(|| format!("cannot move {} away", self.place.display()))?;
        }
        match fs::rename(self.tree(), &self.place) {
            Err(_) if finished(&self.place) => Ok(()),
            result => result.with_context(|| {
                format!("cannot move the finished {} to {}", self.tree().display(), self.place.display())
            }),
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

/// Lets a file be run.
pub fn make_executable(file: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(file, mode).with_context(|| format!("cannot make {} executable", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh(name: &str) -> Result<PathBuf> {
        let folder = std::env::temp_dir().join(format!("xtask-test-{name}-{}", std::process::id()));
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    #[test]
    fn the_owner_is_in_the_name() {
        assert_eq!(owner("libtorch-2.11.0.partial-123"), Some(123));
        assert_eq!(owner("libtorch-2.11.0"), None);
        assert_eq!(owner("a.partial-"), None);
        assert_eq!(owner("a.partial-12x"), None);
        assert_eq!(owner(".partial-12"), None);
    }

    #[test]
    fn only_what_nobody_prepares_is_stale() -> Result<()> {
        let folder = fresh("stale")?;
        for name in ["a.partial-11", "b.partial-12", "debug", "c.partial-x"] {
            fs::create_dir(folder.join(name))?;
        }
        assert_eq!(stale_in(&folder, |process| process == 12), [folder.join("a.partial-11")]);
        assert!(stale_in(&folder.join("none"), |_| false).is_empty());
        Ok(fs::remove_dir_all(&folder)?)
    }

    #[test]
    fn a_folder_appears_finished_or_not_at_all() -> Result<()> {
        let folder = fresh("partial")?;
        let place = folder.join("thing");
        let finished = |place: &Path| place.join("stamp").exists();
        drop(Staging::begin(&place)?);
        assert_eq!(fs::read_dir(&folder)?.count(), 0);

        fs::create_dir(&place)?;
        fs::write(place.join("half"), "")?;
        let staging = Staging::begin(&place)?;
        fs::write(staging.tree().join("stamp"), "1")?;
        staging.finish(finished)?;
        assert!(finished(&place) && !place.join("half").exists());

        let late = Staging::begin(&place)?;
        fs::write(late.tree().join("stamp"), "2")?;
        late.finish(finished)?;
        assert_eq!(fs::read_to_string(place.join("stamp"))?, "1");
        assert_eq!(fs::read_dir(&folder)?.count(), 1);
        Ok(fs::remove_dir_all(&folder)?)
    }
}
