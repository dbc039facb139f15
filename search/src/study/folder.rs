//! The folder of a study: resolved config, rows, scores, weights, page.

use std::fs;
use std::path::{Path, PathBuf};

use mobilenas_reports::study::{FILE, Header, Row};
use mobilenas_torch::weights::write_whole;

use crate::config;
use crate::journal::Journal;
use crate::run::RunError;

/// A study's folder with its file open.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    journal: Journal,
    /// The rows of the file.
    pub rows: Vec<Row>,
}

impl Folder {
    /// Makes a study's folder, or opens it to go on.
    ///
    /// # Errors
    /// When it exists and is not to be resumed, or the disk refuses.
    pub fn open(root: &Path, config: &config::StudyConfig, resume: bool) -> Result<Folder, RunError> {
        let io = |path: &Path| {
            let path = path.to_path_buf();
            move |error| RunError::Io { path, error }
        };
        if root.exists() && !resume {
            return Err(RunError::Exists(root.to_path_buf()));
        }
        fs::create_dir_all(root.join("training")).map_err(io(root))?;
        let (journal, rows) = Journal::open_file(root.join(FILE))?;
        let text = config::to_yaml(config).map_err(|e| RunError::Config(e.to_string()))?;
        if rows.is_empty() {
            let path = root.join("config.yaml");
            write_whole(&path, text.as_bytes()).map_err(io(&path))?;
        }
        Ok(Folder { root: root.to_path_buf(), journal, rows })
    }

    /// Writes the header, or refuses to go on with a study of another version, config or format.
    ///
    /// # Errors
    /// When something differs.
    pub fn begin(&mut self, own: Header) -> Result<(), RunError> {
        let other = |what, found: &str, expected: &str| {
            Err(RunError::Other { folder: self.root.clone(), what, found: found.into(), expected: expected.into() })
        };
        match self.rows.first() {
            None => return self.append(Row::Study(Box::new(own))),
            Some(Row::Study(there)) if there.format != own.format => {
                return other("format", &there.format.to_string(), &own.format.to_string());
            }
            Some(Row::Study(there)) if there.program != own.program => {
                return other("program version", &there.program, &own.program);
            }
            Some(Row::Study(there)) if there.config_digest != own.config_digest => {
                return other("config", &there.config_digest, &own.config_digest);
            }
            Some(Row::Study(_)) => {}
            Some(_) => return other("kind", "a file that does not begin with its study", FILE),
        }
        Ok(())
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
    pub fn append(&mut self, row: Row) -> Result<(), RunError> {
        self.journal.append(&row)?;
        self.rows.push(row);
        Ok(())
    }
}
