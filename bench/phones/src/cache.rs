//! Converted files, kept for later runs. A file's name is a digest of all that it was made of, so it is never out of date.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::error::{CACHE, PhonesError};

/// More bytes than this are not kept.
const MOST: u64 = 4 << 30;
/// What was used within this time stays in any case: someone may be about to load it.
const RECENT: Duration = Duration::from_secs(3600);
const ENDING: &str = "tflite";

/// The folder of converted files.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
    most: u64,
    recent: Duration,
}

impl Cache {
    /// That of the user: in [`CACHE`], or where the system has such folders.
    pub(crate) fn open() -> Result<Cache, PhonesError> {
        let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let place = variable(CACHE)
            .or_else(|| Some(variable("XDG_CACHE_HOME").filter(|p| p.is_absolute())?.join("mobilenas")))
            .or_else(|| Some(variable("HOME")?.join(".cache/mobilenas")))
            .unwrap_or_else(|| std::env::temp_dir().join("mobilenas"));
        Cache::at(place.join(ENDING))
    }

    fn at(folder: PathBuf) -> Result<Cache, PhonesError> {
        match fs::create_dir_all(&folder) {
            Ok(()) => Ok(Cache { folder, most: MOST, recent: RECENT }),
            Err(source) => Err(PhonesError::Cache { folder, source }),
        }
    }

    /// The file of a key, if it is here. It counts as used now.
    pub(crate) fn get(&self, key: &str) -> Option<PathBuf> {
        let path = self.folder.join(format!("{key}.{ENDING}"));
        // Where the time cannot be set, the file only goes sooner.
        let _ = File::options().write(true).open(&path).and_then(|f| f.set_modified(SystemTime::now()));
        path.is_file().then_some(path)
    }

    /// Keeps a file, whole or not at all; what was not used for longest goes if there is too much.
    pub(crate) fn put(&self, key: &str, bytes: &[u8]) -> Result<PathBuf, PhonesError> {
        let path = self.folder.join(format!("{key}.{ENDING}"));
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(bytes)?;
            file.persist(&path)?;
            self.prune()
        };
        write().map_err(|source| PhonesError::Cache { folder: self.folder.clone(), source })?;
        Ok(path)
    }

    fn prune(&self) -> io::Result<()> {
        let kept = |path: &Path| path.extension().is_some_and(|e| e == ENDING);
        let mut all: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for path in fs::read_dir(&self.folder)?.filter_map(Result::ok).map(|e| e.path()).filter(|p| kept(p)) {
            // Another process may have removed it.
            let Ok(about) = path.metadata() else { continue };
            all.push((about.modified()?, about.len(), path));
        }
        all.sort();
        let (mut bytes, now) = (all.iter().map(|(_, n, _)| n).sum::<u64>(), SystemTime::now());
        for (used, n, path) in all {
            if bytes <= self.most || now.duration_since(used).is_ok_and(|age| age < self.recent) {
                break;
            }
            let _ = fs::remove_file(path);
            bytes -= n;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes_first_and_nothing_recent() {
        let dir = tempfile::tempdir().unwrap();
        let mut cache = Cache { most: 10, ..Cache::at(dir.path().join("a/b")).unwrap() };
        let age = |key: &str, seconds: u64| {
            let file = File::options().write(true).open(dir.path().join(format!("a/b/{key}.tflite"))).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
        };
        assert_eq!(cache.get("x"), None);
        for (key, seconds) in [("x", 9000), ("y", 8000), ("z", 7000)] {
            let path = cache.put(key, b"1234").unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"1234");
            age(key, seconds);
        }
        // Three of 4 bytes were too many for 10; the third was written when the first had not been used for longest.
        assert_eq!((cache.get("x"), cache.get("y").is_some()), (None, true));
        age("z", 7000);
        cache.put("w", b"1234").unwrap();
        assert_eq!((cache.get("y").is_some(), cache.get("z"), cache.get("w").is_some()), (true, None, true));
        cache.most = 0;
        cache.put("v", b"1").unwrap();
        assert!(["v", "w", "y"].iter().all(|key| cache.get(key).is_some()), "all were used within an hour");
        assert_eq!(fs::read_dir(dir.path().join("a/b")).unwrap().count(), 3);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let said = Cache::at(file.path().join("tflite")).unwrap_err().to_string();
        let place = file.path().join("tflite");
        assert!(said.starts_with(&format!("{}: ", place.display())) && said.contains(CACHE), "{said}");
    }
}
