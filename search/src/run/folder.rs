//! The folder of a run: resolved config, journal, weights, report.

use std::fs;
use std::path::{Path, PathBuf};

use mobilenas_reports::record::{Row, Run};
use mobilenas_torch::weights::write_whole;

use super::RunError;
use crate::config::{self, Config};
use crate::journal::{self, Journal};

/// A run's folder with its journal open.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    journal: Journal,
    /// The rows of the journal.
    pub rows: Vec<Row>,
}

/// Digest of a resolved config.
///
/// # Errors
/// Never for a config that was loaded.
pub fn config_digest(config: &impl serde::Serialize) -> Result<String, RunError> {
    let text = config::to_yaml(config).map_err(|e| RunError::Config(e.to_string()))?;
    let eat = |mut h: u64, step: u64| {
        for b in text.bytes() {
            h = (h ^ u64::from(b)).wrapping_mul(step);
            h ^= h >> 31;
        }
        h
    };
    Ok(format!(
        "{:016x}{:016x}",
        eat(0xcbf2_9ce4_8422_2325, 0x0000_0100_0000_01b3),
        eat(0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93)
    ))
}

impl Folder {
    /// Makes a run's folder, or opens it to go on.
    ///
    /// # Errors
    /// When it exists and is not to be resumed, or the disk refuses.
    pub fn open(root: &Path, config: &Config, resume: bool) -> Result<Folder, RunError> {
        let io = |path: &Path| {
            let path = path.to_path_buf();
            move |error| RunError::Io { path, error }
        };
        if root.exists() && !resume {
            return Err(RunError::Exists(root.to_path_buf()));
        }
        fs::create_dir_all(root.join("winners")).map_err(io(root))?;
        let (journal, rows) = Journal::open(root)?;
        let text = config::to_yaml(config).map_err(|e| RunError::Config(e.to_string()))?;
        if rows.is_empty() {
            let path = root.join("config.yaml");
            write_whole(&path, text.as_bytes()).map_err(io(&path))?;
        }
        Ok(Folder { root: root.to_path_buf(), journal, rows })
    }

    /// Refuses to go on with a run of another version, config or format.
    ///
    /// # Errors
    /// When something differs.
    pub fn check_header(&self, own: &Run) -> Result<(), RunError> {
        let other = |what, found: &str, expected: &str| {
            Err(RunError::Other { folder: self.root.clone(), what, found: found.into(), expected: expected.into() })
        };
        let Some(Row::Run(there)) = self.rows.first() else {
            return other("kind", "a journal that does not begin with its run", journal::FILE);
        };
        if there.format != own.format {
            return other("format", &there.format.to_string(), &own.format.to_string());
        }
        if there.program != own.program {
            return other("program version", &there.program, &own.program);
        }
        if there.config_digest != own.config_digest {
            return other("config", &there.config_digest, &own.config_digest);
        }
        let table = |run: &Run| run.engine.table.as_ref().map_or("none", |t| t.digest.as_str()).to_string();
        if table(there) != table(own) {
            return other("latency table", &table(there), &table(own));
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

    /// Appends a row to the journal.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn append(&mut self, row: Row) -> Result<(), RunError> {
        self.journal.append(&row)?;
        self.rows.push(row);
        Ok(())
    }
}
