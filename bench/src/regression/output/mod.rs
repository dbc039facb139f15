//! What a check writes: a table, JSON, Markdown, JUnit XML, Bencher's metrics, GitHub annotations.

mod annotations;
mod junit;
mod metrics;
mod table;

use std::path::{Path, PathBuf};

pub use annotations::annotations;
pub use junit::junit;
pub use metrics::bencher;
pub use table::{markdown, table, why};

use super::finding::RegressionReport;
use mobilenas_host::json_file::{self, FileError};

/// Names of the files, in the order they are written.
pub const FILES: [&str; 4] = ["check.json", "check.md", "check.junit.xml", "check.bencher.json"];

/// Writes every file into a folder, which is made if needed.
///
/// # Errors
/// When one cannot be written.
pub fn write(report: &RegressionReport, folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    std::fs::create_dir_all(folder).map_err(|source| FileError::Write { file: folder.to_path_buf(), source })?;
    let [json, md, xml, metrics] = FILES.map(|name| folder.join(name));
    let xml_text =
        junit(report).map_err(|e| FileError::Write { file: xml.clone(), source: std::io::Error::other(e) })?;
    let json_text = json_file::text(&json, report, true)?;
    let files = [(json, json_text), (md, markdown(report)), (xml, xml_text)];
    let files = files.into_iter().chain([(metrics, format!("{:#}\n", bencher(report)))]);
    files.map(|(file, text)| json_file::write(&file, text.as_bytes()).map(|()| file)).collect()
}

#[cfg(test)]
mod tests;
