//! Reads `journal.jsonl` line by line, tolerant of what a stopped run leaves behind.
//!
//! A line that cannot be read is skipped and reported; it is no reason to refuse the rest. Only a missing header and an
//! unknown format are errors: without them nothing in the file can be understood.

use std::path::Path;

use mobilenas_record::run::{FORMAT, JournalRow, RunHeader};
use serde::de::DeserializeOwned;

use crate::error::ReportError;

/// Name of the journal inside a run's folder.
pub const FILE: &str = "journal.jsonl";

/// Name of the resolved config inside a run's folder.
pub const CONFIG: &str = "config.yaml";

/// Larger files are not configs.
const LARGEST_CONFIG: u64 = 1 << 20;

/// Damaged lines that are reported one by one; the others are counted.
const REPORTED: usize = 20;

/// The rows of a file.
pub(crate) struct Rows<H, R> {
    /// The header.
    pub header: H,
    /// Every later row that could be read, with its line number (from 1).
    pub rows: Vec<(usize, R)>,
    /// One sentence for each line that could not be read.
    pub damage: Vec<String>,
}

/// The resolved config of a run's folder, if there is one: the journal alone is enough for a report.
pub(crate) fn config(run_dir: &Path) -> Option<String> {
    let path = run_dir.join(CONFIG);
    let small = std::fs::metadata(&path).is_ok_and(|m| m.is_file() && m.len() <= LARGEST_CONFIG);
    small.then(|| std::fs::read_to_string(path).ok()).flatten()
}

/// Reads the journal of a run's folder.
pub(crate) fn read(run_dir: &Path) -> Result<Rows<RunHeader, JournalRow>, ReportError> {
    rows(run_dir, FILE, "run", FORMAT, |row| matches!(row, JournalRow::Run(_)))
}

/// Reads a file of rows in `dir` whose first line is a row of the kind `header`, in `format` or an older one.
pub(crate) fn rows<H: DeserializeOwned, R: DeserializeOwned>(
    dir: &Path,
    file: &'static str,
    header: &'static str,
    format: u32,
    is_header: fn(&R) -> bool,
) -> Result<Rows<H, R>, ReportError> {
    let path = dir.join(file);
    let bytes =
        std::fs::read(&path).map_err(|source| ReportError::Read { path: path.clone(), kind: header, source })?;
    let ends_whole = bytes.last().is_none_or(|b| *b == b'\n');
    let mut lines = bytes
        .split(|b| *b == b'\n')
        .enumerate()
        .map(|(i, line)| (i + 1, line))
        .filter(|(_, line)| !line.iter().all(u8::is_ascii_whitespace))
        .peekable();

    let Some((_, first)) = lines.next() else {
        return Err(ReportError::NoHeader { path, kind: header, why: "the journal is empty".to_owned() });
    };
    let first = head(&path, first, header, format)?;
    let (mut rows, mut damage) = (Vec::new(), Vec::new());
    while let Some((number, line)) = lines.next() {
        let last = lines.peek().is_none();
        match serde_json::from_slice::<R>(line) {
            Ok(row) if is_header(&row) => damage.push(format!("{file} line {number} is a second header: left out")),
            Ok(row) => rows.push((number, row)),
            Err(_) if last && !ends_whole => damage.push(format!(
                "{file} line {number}, the last, is cut off, as when a run is stopped while it writes: left out"
            )),
            Err(error) => damage.push(format!("{file} line {number} could not be read ({}): left out", reason(&error))),
        }
    }
    if damage.len() > REPORTED {
        let more = damage.len() - REPORTED;
        damage.truncate(REPORTED);
        damage.push(format!("{file}: {more} more damaged lines, left out"));
    }
    Ok(Rows { header: first, rows, damage })
}

/// The header, once its format is known.
fn head<H: DeserializeOwned>(path: &Path, line: &[u8], kind: &'static str, format: u32) -> Result<H, ReportError> {
    let no_header = |why: String| ReportError::NoHeader { path: path.to_owned(), kind, why };
    let value: serde_json::Value =
        serde_json::from_slice(line).map_err(|e| no_header(format!("the line is not whole JSON ({})", reason(&e))))?;
    let row = value.get(kind).ok_or_else(|| no_header("the line is a different row".to_owned()))?;
    // The format is checked before anything else: another one may have other fields.
    match row.get("format") {
        Some(found) if found.as_u64().is_some_and(|f| (1..=u64::from(format)).contains(&f)) => {}
        Some(found) => return Err(ReportError::Format { path: path.to_owned(), found: found.to_string(), format }),
        None => return Err(no_header("the row has no `format`".to_owned())),
    }
    serde_json::from_value(row.clone()).map_err(|e| no_header(format!("the row is damaged ({})", reason(&e))))
}

/// The error without serde_json's "at line 1 column 7": its line is always 1 here, and would mislead.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(cut) => format!("{}, column {}", &text[..cut], error.column()),
        None => text,
    }
}
