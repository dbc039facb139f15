//! An advisory lock on an output: two processes that write to one folder or file would destroy it.
//!
//! The lock is a file that names its holder, and two mechanisms guard it, since neither alone serves everywhere:
//!
//! - `flock` on that file. The kernel drops it when the process ends, also by a kill. NFS passes it on to the server, but some
//!   shared file systems know it within one machine only, or not at all.
//! - A heartbeat: the holder renews the file's modification time. A process on another machine takes the lock over only if the
//!   kernel grants it and the heartbeat has stopped. Both times come from the file system, so clocks of machines may differ.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::HumanDuration;
use rustix::fs::{OFlags, Timespec, Timestamps, UTIME_NOW, futimens};
use serde::{Deserialize, Serialize};

use crate::unix_now;

/// Name of the lock file in a locked folder.
pub const LOCK_FILE: &str = ".lock";

/// Between two heartbeats.
const BEAT: Duration = Duration::from_secs(20);

/// A holder on another machine counts as dead after so long without a heartbeat.
const DEAD: Duration = Duration::from_secs(120);

/// How often, and after how long each time, a lock that is held is asked for again.
const WAITS: usize = 10;
const WAIT: Duration = Duration::from_millis(20);

/// How often taking the lock starts again because the lock file was removed meanwhile.
const TRIES: usize = 100;

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{}: {holder}; expected that no other process writes there (lock file {})", target.display(), file.display())]
    Held {
        /// What is locked.
        target: PathBuf,
        /// Its lock file.
        file: PathBuf,
        /// The process, in words.
        holder: String,
    },
    /// There is no folder, and none can be made.
    #[error("{}: {source}, expected a folder to write into", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The lock file cannot be written.
    #[error("{}: {source}", file.display())]
    Io {
        /// The lock file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Who holds a lock: the contents of the lock file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    host: String,
    /// Identifies the machine since its last start.
    boot: String,
    pid: u32,
    /// What it runs, as `mobilenas search`.
    command: String,
    /// Seconds since 1970 at which it took the lock.
    since: u64,
}

impl Holder {
    fn this_process(command: &str) -> Holder {
        Holder {
            host: sysinfo::System::host_name().unwrap_or_default(),
            boot: std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_string(),
            pid: std::process::id(),
            command: command.to_string(),
            since: unix_now(),
        }
    }

    fn in_words(&self) -> String {
        let Holder { host, pid, command, .. } = self;
        let time = HumanDuration(Duration::from_secs(unix_now().saturating_sub(self.since)));
        format!("{command}, process {pid} on {host}, has been writing there for {time}")
    }
}

/// A lock that this process holds. Dropping it releases it.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    file: File,
    heartbeat: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Lock {
    /// Locks a folder, which is made if it is missing. `command` names this process to others, as `mobilenas search`.
    ///
    /// # Errors
    /// When another process has it, or the lock file cannot be written.
    pub fn folder(folder: &Path, command: &str) -> Result<Lock, LockError> {
        let path = folder.join(LOCK_FILE);
        std::fs::create_dir_all(folder).map_err(|source| LockError::Folder { folder: folder.to_path_buf(), source })?;
        Lock::take(folder, path, command)
    }

    /// Locks a file by a lock file beside it, `FILE.lock`. The file itself need not exist; its folder must.
    ///
    /// # Errors
    /// When another process has it, or the lock file cannot be written.
    pub fn file(file: &Path, command: &str) -> Result<Lock, LockError> {
        let mut path = file.as_os_str().to_os_string();
        path.push(".lock");
        Lock::take(file, path.into(), command)
    }

    fn take(target: &Path, path: PathBuf, command: &str) -> Result<Lock, LockError> {
        let me = Holder::this_process(command);
        let file = match acquire(&path, &me) {
            Ok(Ok(file)) => file,
            Ok(Err(holder)) => return Err(LockError::Held { target: target.to_path_buf(), file: path, holder }),
            Err(source) => return Err(LockError::Io { file: path, source }),
        };
        let (stop, stopped) = channel();
        let beats = |own: File| {
            let beats = move || {
                while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
                    beat(&own);
                }
            };
            std::thread::Builder::new().name("lock".into()).spawn(beats)
        };
        let mut lock = Lock { path, file, heartbeat: None };
        match lock.file.try_clone().and_then(beats) {
            Ok(thread) => lock.heartbeat = Some((stop, thread)),
            Err(source) => return Err(LockError::Io { file: lock.path.clone(), source }),
        }
        Ok(lock)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.heartbeat.take() {
            drop(stop);
            let _ = thread.join();
        }
        // Removed while the lock is held: nobody else can have taken this file.
        if is_at(&self.file, &self.path).unwrap_or(false) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn unnamed() -> String {
    "a process that does not name itself is writing there".to_string()
}

/// Sets the modification time to the file system's own present.
fn beat(file: &File) {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    // A heartbeat that fails is a late one.
    let _ = futimens(file, &Timestamps { last_access: now, last_modification: now });
}

/// The lock file, locked and with the holder's name in it; or the other holder in words.
fn acquire(path: &Path, me: &Holder) -> io::Result<Result<File, String>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(OFlags::NOFOLLOW.bits() as i32);
    for try_number in 0..TRIES {
        let old = match options.open(path) {
            Ok(file) => Some(file),
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => return Err(e),
        };
        if let Some(old) = &old {
            let granted = match old.try_lock() {
                Ok(()) => true,
                // A child that its holder is just starting has it for a moment, even if the holder has let go.
                Err(TryLockError::WouldBlock) if try_number < WAITS => {
                    std::thread::sleep(WAIT);
                    continue;
                }
                Err(TryLockError::WouldBlock) => return Ok(Err(named(old)?.map_or_else(unnamed, |h| h.in_words()))),
                // A file system without locks: the heartbeat decides.
                Err(TryLockError::Error(_)) => false,
            };
            // Its last holder may have removed it after it was opened here.
            if !is_at(old, path)? {
                continue;
            }
            if let Some(holder) = living(old, path, granted, me)? {
                return Ok(Err(holder));
            }
        }
        // The file comes to its name locked and complete, so that nobody sees it half made.
        let mut new = tempfile::Builder::new()
            .prefix(LOCK_FILE)
            .permissions(Permissions::from_mode(0o644))
            .tempfile_in(folder(path))?;
        let _ = new.as_file().try_lock();
        new.write_all((serde_json::to_string(me)? + "\n").as_bytes())?;
        new.as_file().sync_data()?;
        let named = if old.is_some() { new.persist(path) } else { new.persist_noclobber(path) };
        match named {
            Ok(file) => return Ok(Ok(file)),
            Err(e) if e.error.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e.error),
        }
    }
    Ok(Err("other processes take it and release it again and again".to_string()))
}

/// The holder that a lock file names.
fn named(mut file: &File) -> io::Result<Option<Holder>> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text).ok())
}

/// The folder of a file.
fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether a path still names this open file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (own.dev(), own.ino())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// The last holder in words, if it may still be alive.
fn living(file: &File, path: &Path, granted: bool, me: &Holder) -> io::Result<Option<String>> {
    let holder = named(file)?;
    if granted && holder.as_ref().is_some_and(|h| h.boot == me.boot) {
        return Ok(None);
    }
    let now = tempfile::tempfile_in(folder(path))?.metadata()?.modified()?;
    let silent = now.duration_since(file.metadata()?.modified()?).unwrap_or_default();
    let in_words = || holder.map_or_else(unnamed, |h| h.in_words());
    Ok((silent < DEAD).then(|| format!("{}, its last sign of life was {} s ago", in_words(), silent.as_secs())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const CHILD: &str = "MOBILENAS_TEST_LOCKS";

    fn age(file: &Path, seconds: u64) {
        let then = std::time::SystemTime::now() - Duration::from_secs(seconds);
        OpenOptions::new().write(true).open(file).unwrap().set_modified(then).unwrap();
    }

    #[test]
    fn one_at_a_time_and_the_holder_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("new/run");
        let lock = Lock::folder(&folder, "mobilenas search").unwrap();
        let said = Lock::folder(&folder, "mobilenas train").unwrap_err().to_string();
        let (host, pid) = (sysinfo::System::host_name().unwrap(), std::process::id());
        let holder = format!("{}: mobilenas search, process {pid} on {host}, has been writing", folder.display());
        assert!(said.starts_with(&holder), "{said}");
        let _other = Lock::file(&folder.join("table"), "mobilenas latency-table build").unwrap();
        assert!(Lock::file(&folder.join("table"), "mobilenas latency-table build").is_err());
        drop(lock);
        assert!(!folder.join(LOCK_FILE).exists(), "nothing is left behind");
        drop(Lock::folder(&folder, "mobilenas train").unwrap());
    }

    #[test]
    fn of_many_at_once_one_gets_it() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..50 {
            let barrier = std::sync::Barrier::new(8);
            let take = || {
                barrier.wait();
                let lock = Lock::folder(dir.path(), "x");
                barrier.wait();
                lock.is_ok()
            };
            let got = std::thread::scope(|s| {
                let all: Vec<_> = (0..8).map(|_| s.spawn(take)).collect();
                all.into_iter().map(|t| t.join().unwrap()).filter(|got| *got).count()
            });
            assert_eq!(got, 1);
        }
    }

    #[test]
    fn many_in_turn_never_overlap() {
        let dir = tempfile::tempdir().unwrap();
        let inside = std::sync::atomic::AtomicUsize::new(0);
        let work = || {
            for _ in 0..200 {
                if let Ok(lock) = Lock::folder(dir.path(), "x") {
                    assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                    inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    drop(lock);
                }
            }
        };
        std::thread::scope(|s| (0..4).for_each(|_| drop(s.spawn(work))));
    }

    /// A child takes the lock, says so, and waits to be killed.
    #[test]
    fn a_kill_leaves_no_lock() {
        if let Some(folder) = std::env::var_os(CHILD) {
            let _lock = Lock::folder(Path::new(&folder), "mobilenas search").unwrap();
            crate::outln!("locked").unwrap();
            let _ = io::stdin().read(&mut [0]);
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "lock::tests::a_kill_leaves_no_lock", "--nocapture"])
            .env(CHILD, dir.path())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let lines = io::BufRead::lines(io::BufReader::new(child.stdout.take().unwrap()));
        assert!(lines.map(Result::unwrap).any(|line| line.contains("locked")));
        let said = Lock::folder(dir.path(), "x").unwrap_err().to_string();
        assert!(said.contains(&format!("process {}", child.id())), "{said}");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(dir.path().join(LOCK_FILE).exists(), "the killed process could not remove it");
        Lock::folder(dir.path(), "x").unwrap();
    }

    #[test]
    fn another_machine_is_alive_as_long_as_its_heart_beats() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(LOCK_FILE);
        let other =
            Holder { host: "node7".into(), boot: "b".into(), pid: 9, ..Holder::this_process("mobilenas study") };
        std::fs::write(&file, serde_json::to_string(&other).unwrap()).unwrap();
        age(&file, 30);
        let said = Lock::folder(dir.path(), "x").unwrap_err().to_string();
        assert!(
            said.contains("mobilenas study, process 9 on node7,") && said.contains("last sign of life was"),
            "{said}"
        );
        assert_eq!(std::fs::read_to_string(&file).unwrap(), serde_json::to_string(&other).unwrap(), "left alone");
        age(&file, DEAD.as_secs() + 1);
        let lock = Lock::folder(dir.path(), "x").unwrap();
        age(&file, 1000);
        beat(&lock.file);
        assert!(lock.file.metadata().unwrap().modified().unwrap().elapsed().unwrap() < Duration::from_secs(500));
    }

    #[test]
    fn a_lock_file_of_anything_else_is_not_written_to_while_it_is_fresh_and_links_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(LOCK_FILE);
        std::fs::write(&file, "").unwrap();
        assert!(
            matches!(Lock::folder(dir.path(), "x"), Err(LockError::Held { .. })),
            "its writer may be about to name itself"
        );
        age(&file, DEAD.as_secs() + 1);
        drop(Lock::folder(dir.path(), "x").unwrap());
        std::fs::write(dir.path().join("mine"), "text").unwrap();
        std::os::unix::fs::symlink(dir.path().join("mine"), &file).unwrap();
        assert!(matches!(Lock::folder(dir.path(), "x"), Err(LockError::Io { .. })));
        assert_eq!(std::fs::read_to_string(dir.path().join("mine")).unwrap(), "text");
    }
}
