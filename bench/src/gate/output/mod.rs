//! What a check writes: a table, JSON, Markdown, JUnit XML, Bencher's metrics, GitHub annotations.

mod annotations;
mod junit;
mod metrics;
mod table;

use std::path::{Path, PathBuf};

use mobilenas_host::write::write_whole;

pub use annotations::annotations;
pub use junit::junit;
pub use metrics::bencher;
pub use table::{markdown, table, why};

use super::GateError;
use super::finding::Report;

/// Names of the files, in the order they are written.
pub const FILES: [&str; 4] = ["check.json", "check.md", "check.junit.xml", "check.bencher.json"];

/// Writes every file into a folder, which is made if needed.
///
/// # Errors
/// When one cannot be written.
pub fn write(report: &Report, folder: &Path) -> Result<Vec<PathBuf>, GateError> {
    let problem = |message: String| GateError::Tool { tool: "report", message };
    std::fs::create_dir_all(folder).map_err(|source| GateError::Write { file: folder.to_path_buf(), source })?;
    let json = serde_json::to_string_pretty(report).map_err(|e| problem(e.to_string()))? + "\n";
    let texts = [json, markdown(report), junit(report)?, format!("{:#}\n", bencher(report))];
    let files = FILES.iter().map(|name| folder.join(name));
    files.zip(texts).map(|(file, text)| replace(&file, text.as_bytes()).map(|()| file)).collect()
}

/// Writes a file whole.
///
/// # Errors
/// When the system refuses.
pub fn replace(file: &Path, bytes: &[u8]) -> Result<(), GateError> {
    write_whole(file, bytes).map_err(|source| GateError::Write { file: file.to_path_buf(), source })
}

#[cfg(test)]
mod tests;
