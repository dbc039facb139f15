//! The folder of a long work: its resolved config, its rows, and whatever stands beside them.

use std::fs;
use std::path::{Path, PathBuf};

use mobilenas_host::Lock;
use mobilenas_host::write::write_whole;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config;
use crate::journal::Journal;
use crate::pipeline::RunError;

/// Rows that have a folder of their own.
pub trait Kept: Serialize + DeserializeOwned {
    /// Name of the file of rows.
    const FILE: &str;
    /// Name of a folder that is made with it.
    const INSIDE: &str;
    /// The command that writes them, as others are told.
    const COMMAND: &str;
}

/// A folder with its file of rows open.
#[derive(Debug)]
pub struct Folder<R> {
    root: PathBuf,
    journal: Journal,
    /// The rows of the file.
    pub rows: Vec<R>,
    _lock: Lock,
}

impl<R: Kept> Folder<R> {
    /// Makes the folder, or opens it to go on, and locks it.
    ///
    /// # Errors
    /// When it exists and is not to be resumed, another process writes there, or the disk refuses.
    pub fn open(root: &Path, config: &impl Serialize, resume: bool) -> Result<Folder<R>, RunError> {
        let io = |path: &Path| {
            let path = path.to_path_buf();
            move |error| RunError::Io { path, error }
        };
        if root.exists() && !resume {
            return Err(RunError::Exists(root.to_path_buf()));
        }
        let lock = Lock::folder(root, R::COMMAND)?;
        fs::create_dir_all(root.join(R::INSIDE)).map_err(io(root))?;
        let (journal, rows) = Journal::open_file(root.join(R::FILE))?;
        let text = config::to_yaml(config).map_err(|e| RunError::Config(e.to_string()))?;
        if rows.is_empty() {
            let path = root.join("config.yaml");
            write_whole(&path, text.as_bytes()).map_err(io(&path))?;
        }
        Ok(Folder { root: root.to_path_buf(), journal, rows, _lock: lock })
    }

    /// Refuses to go on where the folder differs from what would be written now: what, what is there, what is expected.
    ///
    /// # Errors
    /// The first that differs.
    pub fn same<const N: usize>(&self, all: [(&'static str, String, String); N]) -> Result<(), RunError> {
        match all.into_iter().find(|(_, found, expected)| found != expected) {
            Some((what, found, expected)) => Err(self.other(what, found, expected)),
            None => Ok(()),
        }
    }

    /// That the folder is of something else.
    pub fn other(&self, what: &'static str, found: impl Into<String>, expected: impl Into<String>) -> RunError {
        RunError::Other { folder: self.root.clone(), what, found: found.into(), expected: expected.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Appends a row.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn append(&mut self, row: R) -> Result<(), RunError> {
        self.journal.append(&row)?;
        self.rows.push(row);
        Ok(())
    }
}
