//! The journal: one row a line, appended and flushed; readable at any moment, and the only memory of a search.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use mobilenas_record::run::JournalRow;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Name of the journal in a run folder.
pub const FILE: &str = "journal.jsonl";

/// A journal that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A line before the last that is no row.
    #[error("{path}, line {line}: damaged ({error}), expected a journal row")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// What is wrong.
        error: serde_json::Error,
    },
}

/// A journal open for appending.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens the journal of a run folder and gives its rows. A last line that was cut off is removed.
    ///
    /// # Errors
    /// When the disk refuses, or a line before the last is no row.
    pub fn open(folder: &Path) -> Result<(Journal, Vec<JournalRow>), JournalError> {
        Journal::open_file(folder.join(FILE))
    }

    /// Opens a file of rows of any kind, likewise.
    ///
    /// # Errors
    /// As for [`Journal::open`].
    pub fn open_file<R: DeserializeOwned>(path: PathBuf) -> Result<(Journal, Vec<R>), JournalError> {
        let io = |error| JournalError::Io { path: path.clone(), error };
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(io)?;
        let (mut rows, mut whole, mut reader) = (Vec::new(), 0, BufReader::new(&file));
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(io)?;
            if read == 0 || line.last() != Some(&b'\n') {
                break;
            }
            let row = serde_json::from_slice(&line).map_err(|error| {
                let line = rows.len() + 1;
                JournalError::Damaged { path: path.clone(), line, error }
            })?;
            rows.push(row);
            whole += read as u64;
        }
        drop(reader);
        file.set_len(whole).map_err(io)?;
        Ok((Journal { path: path.clone(), file }, rows))
    }

    /// Appends a row and flushes it to the disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn append(&mut self, row: &impl Serialize) -> Result<(), JournalError> {
        let io = |error: io::Error| JournalError::Io { path: self.path.clone(), error };
        let mut line = serde_json::to_vec(row).map_err(|e| io(e.into()))?;
        line.push(b'\n');
        self.file.write_all(&line).and_then(|()| self.file.sync_data()).map_err(io)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mobilenas_record::run::Caveat;

    use super::*;

    fn row(text: &str) -> JournalRow {
        JournalRow::Caveat(Caveat { text: text.into() })
    }

    #[test]
    fn rows_come_back_and_a_cut_off_line_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, rows) = Journal::open(dir.path()).unwrap();
        assert!(rows.is_empty());
        journal.append(&row("one")).unwrap();
        journal.append(&row("two")).unwrap();
        drop(journal);
        let path = dir.path().join(FILE);
        let mut text = std::fs::read(&path).unwrap();
        text.extend_from_slice(b"{\"caveat\":{\"te");
        std::fs::write(&path, &text).unwrap();
        let (mut journal, rows) = Journal::open(dir.path()).unwrap();
        assert_eq!(rows, [row("one"), row("two")]);
        journal.append(&row("three")).unwrap();
        assert_eq!(Journal::open(dir.path()).unwrap().1, [row("one"), row("two"), row("three")]);
    }

    #[test]
    fn a_damaged_line_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "{\"caveat\":{\"text\":\"a\"}}\nrubbish\n{}\n").unwrap();
        let error = Journal::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("line 2: damaged"), "{error}");
    }
}
