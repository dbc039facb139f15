//! The folder of a long work: its resolved config, its rows, and whatever stands beside them.

use std::fs;
use std::path::{Path, PathBuf};

use mobilenas_host::Lock;
use mobilenas_host::write::write_whole;
use mobilenas_reports::study::{self, StudyRow};
use mobilenas_space::fnv::text_digest;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config;
use crate::config::difference::{Difference, Resumable};
use crate::experiment::ExperimentError;
use crate::journal::Journal;
use crate::pipeline::RunError;

/// What the first row says of the work in its folder.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// Version of the format of the rows.
    pub format: u32,
    /// Version of the program.
    pub program: &'a str,
    /// Digest of the config that it began with.
    pub config_digest: &'a str,
}

/// Rows that have a folder of their own.
pub trait Kept: Serialize + DeserializeOwned {
    /// Name of the file of rows.
    const FILE: &str;
    /// Name of a folder that is made with it.
    const INSIDE: &str;
    /// The command that writes them, as others are told.
    const COMMAND: &str;
    /// Version of the format that this program writes.
    const FORMAT: u32;

    /// What the row says of the whole, if it is the first one.
    fn header(&self) -> Option<Header<'_>>;
}

impl Kept for StudyRow {
    const FILE: &str = study::FILE;
    const INSIDE: &str = "training";
    const COMMAND: &str = "mobilenas study";
    const FORMAT: u32 = study::FORMAT;

    fn header(&self) -> Option<Header<'_>> {
        match self {
            StudyRow::Study(study) => {
                Some(Header { format: study.format, program: &study.program, config_digest: &study.config_digest })
            }
            _ => None,
        }
    }
}

/// A folder with its file of rows open.
#[derive(Debug)]
pub struct Folder<R> {
    root: PathBuf,
    journal: Journal,
    /// The rows of the file.
    pub rows: Vec<R>,
    /// Digest of the config that the work began with.
    pub digest: String,
    /// Keys of that config that are larger now.
    pub raised: Vec<Difference>,
    _lock: Lock,
}

/// Keys that are larger than when the work in a folder began, whose config had this digest.
///
/// # Errors
/// When other keys differ, or the folder does not hold the config that the work began with.
pub fn changed<C: Resumable>(root: &Path, digest: &str, config: &C) -> Result<Vec<Difference>, RunError> {
    let (folder, path) = (root.to_path_buf(), root.join(config::FILE));
    let text = fs::read_to_string(&path).map_err(|error| RunError::Io { path: path.clone(), error })?;
    if text_digest(&text) != digest {
        return Err(RunError::ConfigEdited { path });
    }
    let found = config::difference::differences(&path, config).map_err(ExperimentError::from)?;
    if found.forbidden.is_empty() {
        Ok(found.raised)
    } else {
        Err(RunError::OtherConfig { folder, keys: found.forbidden })
    }
}

impl<R: Kept> Folder<R> {
    /// Makes the folder, or opens it to go on, and locks it.
    ///
    /// # Errors
    /// When it exists and is not to be resumed, holds work of another version, format or config, another process writes
    /// there, or the disk refuses.
    pub fn open<C: Resumable>(root: &Path, config: &C, resume: bool) -> Result<Folder<R>, RunError> {
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
        let text = config::to_yaml(config)?;
        let digest = text_digest(&text);
        let mut folder = Folder { root: root.to_path_buf(), journal, rows, digest, raised: Vec::new(), _lock: lock };
        let path = root.join(config::FILE);
        if !folder.rows.is_empty() {
            folder.resume(config)?;
        }
        // Also where it is gone: workers read it. A work that began with another config cannot go on without its own.
        if folder.rows.is_empty() || !path.exists() {
            write_whole(&path, text.as_bytes()).map_err(io(&path))?;
        }
        Ok(folder)
    }

    /// Checks that the work in the folder may go on with a config, and takes over the digest that it began with.
    fn resume<C: Resumable>(&mut self, config: &C) -> Result<(), RunError> {
        let Some(header) = self.rows.first().and_then(R::header) else {
            return Err(self.other("kind", "a file that does not begin with its header", R::FILE));
        };
        if header.format != R::FORMAT {
            return Err(self.other("format", header.format.to_string(), R::FORMAT.to_string()));
        }
        let program = env!("CARGO_PKG_VERSION");
        if header.program != program {
            return Err(self.other("program version", header.program, program));
        }
        if header.config_digest != self.digest {
            self.raised = changed(&self.root, header.config_digest, config)?;
            self.digest = header.config_digest.to_string();
        }
        Ok(())
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
