//! Files that are written whole: beside their place, flushed, and renamed.
//!
//! A link is followed: what it points to is replaced. A pipe or a terminal gets the bytes as they are. Nothing else
//! that is no regular file is touched.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A regular file that is there or can be made: its place, without links.
    File(PathBuf),
    /// A pipe, a terminal or another device of characters, which takes bytes one after another.
    Stream(PathBuf),
}

/// As many links in a row are followed as Linux follows.
const LINKS: usize = 40;

impl Target {
    /// Follows links.
    ///
    /// # Errors
    /// When the path leads to a folder, a disk, a socket, or round in a circle.
    pub fn of(path: &Path) -> io::Result<Target> {
        let wrong = |what: &'static str| Err(io::Error::other(what));
        let mut place = path.to_path_buf();
        for _ in 0..=LINKS {
            let meta = match fs::symlink_metadata(&place) {
                Err(e) if e.kind() == ErrorKind::NotFound => return Target::new_file(place),
                other => other?,
            };
            let kind = meta.file_type();
            if kind.is_file() {
                return Ok(Target::File(place));
            }
            if kind.is_dir() {
                return wrong("a folder");
            }
            if !kind.is_symlink() {
                return if streams(kind) { Ok(Target::Stream(place)) } else { wrong("a device or socket") };
            }
            // What the kernel says of an open file is no path: /dev/stdout of a pipe leads to `pipe:[7]`.
            if place.starts_with("/proc") {
                return Ok(Target::Stream(place));
            }
            place = place.parent().unwrap_or(Path::new("")).join(fs::read_link(&place)?);
        }
        wrong("links in a circle")
    }

    fn new_file(place: PathBuf) -> io::Result<Target> {
        match place.file_name() {
            Some(_) if !place.to_string_lossy().ends_with('/') => Ok(Target::File(place)),
            _ => Err(io::Error::other("a folder")),
        }
    }
}

#[cfg(unix)]
fn streams(kind: fs::FileType) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    kind.is_fifo() || kind.is_char_device()
}

#[cfg(not(unix))]
fn streams(_: fs::FileType) -> bool {
    false
}

/// Writes bytes where a path leads to: a file is replaced in one step, flushed to the disk before.
///
/// # Errors
/// When the system refuses; what stood there before stays.
pub fn write_whole(path: &Path, data: &[u8]) -> io::Result<()> {
    match Target::of(path)? {
        Target::File(place) => replace(&place, |f| f.write_all(data)),
        Target::Stream(place) => stream(&place, data),
    }
}

/// Writes bytes to what takes them one after another.
fn stream(place: &Path, data: &[u8]) -> io::Result<()> {
    let standard = |n: u8| ["/proc/self/fd", "/dev/fd"].iter().any(|d| place == Path::new(d).join(n.to_string()));
    if standard(1) {
        // Opened anew, a file that standard output was sent to would be written from its beginning.
        let mut out = io::stdout().lock();
        return out.write_all(data).and_then(|()| out.flush());
    }
    OpenOptions::new().append(true).open(place).or_else(|_| OpenOptions::new().write(true).open(place))?.write_all(data)
}

/// Replaces a regular file by what a function writes, in one step; the file keeps its permissions. Where nothing can be
/// renamed into its place, as over a file that is mounted by itself, it is written over.
fn replace(place: &Path, mut write: impl FnMut(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut beside = place.as_os_str().to_owned();
    beside.push(".partial");
    let beside = PathBuf::from(beside);
    let there = fs::metadata(place).ok();
    let mut file = match claim(&beside) {
        Err(e) if there.is_some() && e.kind() == ErrorKind::PermissionDenied => return over(place, write),
        claimed => claimed?,
    };
    let mut fill = || {
        if let Some(there) = &there {
            file.set_permissions(there.permissions())?;
        }
        write(&mut file)?;
        file.sync_all()?;
        fs::rename(&beside, place)
    };
    let done = fill();
    if done.is_err() {
        // The half-written file is of no use; that it cannot be removed changes nothing about the error.
        let _ = fs::remove_file(&beside);
    }
    match done {
        Err(e) if matches!(e.kind(), ErrorKind::ResourceBusy | ErrorKind::CrossesDevices) => over(place, write),
        done => done,
    }
}

/// Opens the file beside, empty, for this process alone: another that replaces the same file waits.
fn claim(beside: &Path) -> io::Result<File> {
    loop {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(beside)?;
        match file.try_lock() {
            // A file system without locks has none to wait for.
            Ok(()) | Err(TryLockError::Error(_)) => {}
            Err(TryLockError::WouldBlock) => file.lock()?,
        }
        // While this one waited, the other has renamed the file.
        if same(&file, beside)? {
            if file.metadata()?.is_file() {
                file.set_len(0)?;
            }
            return Ok(file);
        }
    }
}

#[cfg(unix)]
fn same(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let id = |m: &fs::Metadata| (m.dev(), m.ino());
    match fs::metadata(path) {
        Ok(there) => Ok(id(&there) == id(&file.metadata()?)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(not(unix))]
fn same(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

/// Writes over a file in its place.
fn over(place: &Path, mut write: impl FnMut(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).truncate(true).open(place)?;
    write(&mut file)?;
    file.sync_all()
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    use std::process::Command;

    use super::*;

    /// A folder with a file `old`.
    fn scene() -> (tempfile::TempDir, impl Fn(&str) -> PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_path_buf();
        fs::write(root.join("old"), "old").unwrap();
        (dir, move |name: &str| root.join(name))
    }

    fn listed(dir: &Path) -> Vec<String> {
        let mut all: Vec<String> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        all.sort();
        all
    }

    #[test]
    fn a_file_is_replaced_and_keeps_its_permissions() {
        let (dir, at) = scene();
        fs::set_permissions(at("old"), fs::Permissions::from_mode(0o640)).unwrap();
        let before = fs::metadata(at("old")).unwrap().ino();
        write_whole(&at("old"), b"new").unwrap();
        write_whole(&at("other"), b"other").unwrap();
        let after = fs::metadata(at("old")).unwrap();
        assert_ne!(after.ino(), before, "the old file is not written over while others read it");
        assert_eq!(after.mode() & 0o777, 0o640);
        assert_eq!((fs::read(at("old")).unwrap(), fs::read(at("other")).unwrap()), (b"new".into(), b"other".into()));
        assert_eq!(listed(dir.path()), ["old", "other"]);
    }

    #[test]
    fn links_stay_and_what_they_lead_to_is_replaced() {
        let (dir, at) = scene();
        fs::create_dir(at("far")).unwrap();
        fs::write(at("far/file"), "far").unwrap();
        symlink("old", at("link")).unwrap();
        symlink("far/link", at("chain")).unwrap();
        symlink(at("far/file"), at("far/link")).unwrap();
        symlink("far/new", at("dangling")).unwrap();
        for (link, leads_to) in [("link", "old"), ("chain", "far/file"), ("dangling", "far/new")] {
            write_whole(&at(link), link.as_bytes()).unwrap();
            assert!(fs::symlink_metadata(at(link)).unwrap().is_symlink(), "{link}");
            assert_eq!(fs::read_to_string(at(leads_to)).unwrap(), link);
        }
        assert_eq!(listed(&at("far")), ["file", "link", "new"]);
        symlink("b", at("a")).unwrap();
        symlink("a", at("b")).unwrap();
        assert!(write_whole(&at("a"), b"x").unwrap_err().to_string().starts_with("links in a circle"));
        drop(dir);
    }

    #[test]
    fn a_pipe_gets_the_bytes_and_stays_a_pipe() {
        let (_dir, at) = scene();
        assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        symlink("pipe", at("link")).unwrap();
        for name in ["pipe", "link"] {
            let from = at("pipe");
            let reader = std::thread::spawn(move || {
                let mut text = String::new();
                File::open(from).unwrap().read_to_string(&mut text).unwrap();
                text
            });
            write_whole(&at(name), b"through").unwrap();
            assert_eq!(reader.join().unwrap(), "through");
        }
        let kind = fs::symlink_metadata(at("pipe")).unwrap().file_type();
        assert!(!kind.is_file());
    }

    #[test]
    fn a_device_gets_the_bytes_and_stays_a_device() {
        let (_dir, at) = scene();
        assert_eq!(Target::of(Path::new("/dev/null")).unwrap(), Target::Stream("/dev/null".into()));
        // Devices of the same numbers in a folder of the test's own, where that is allowed.
        for (name, minor) in [("null", "3"), ("full", "7")] {
            let made = Command::new("mknod").arg(at(name)).args(["c", "1", minor]).output().unwrap().status.success();
            if !made || OpenOptions::new().write(true).open(at(name)).is_err() {
                return;
            }
        }
        write_whole(&at("null"), b"gone").unwrap();
        assert_eq!(write_whole(&at("full"), b"gone").unwrap_err().kind(), ErrorKind::StorageFull);
        for name in ["null", "full"] {
            assert!(!fs::symlink_metadata(at(name)).unwrap().is_file(), "{name}");
        }
    }

    #[test]
    fn folders_sockets_and_places_that_are_none_are_refused() {
        let (dir, at) = scene();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for (path, said) in [
            (dir.path().to_path_buf(), "a folder"),
            (at("new/"), "a folder"),
            (at("socket"), "a device or socket"),
            (at("gone/file"), "No such file or directory (os error 2)"),
            (at("old/file"), "Not a directory (os error 20)"),
        ] {
            assert_eq!(write_whole(&path, b"x").unwrap_err().to_string(), said, "{}", path.display());
        }
        assert_eq!(fs::read(at("old")).unwrap(), b"old");
    }

    #[test]
    fn a_failure_leaves_what_was_there() {
        let (dir, at) = scene();
        let done = replace(&at("old"), |f| f.write_all(b"half").and(Err(io::Error::other("no more"))));
        assert_eq!(done.unwrap_err().to_string(), "no more");
        assert_eq!(fs::read(at("old")).unwrap(), b"old");
        assert_eq!(listed(dir.path()), ["old"]);
    }

    #[test]
    fn many_at_once_leave_one_whole_file() {
        let (dir, at) = scene();
        let path = at("old");
        std::thread::scope(|s| {
            for n in 0..8u8 {
                let path = &path;
                s.spawn(move || (0..20).for_each(|_| write_whole(path, &vec![n; 40_000]).unwrap()));
            }
        });
        let data = fs::read(&path).unwrap();
        assert!(data.len() == 40_000 && data.iter().all(|b| *b == data[0]));
        assert_eq!(listed(dir.path()), ["old"]);
    }
}
