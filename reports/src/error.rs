//! Errors of reading runs and writing reports.

use std::path::PathBuf;

/// An error of this crate: which file, what was found, what was expected.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The journal could not be read.
    #[error("{}: could not be read: {source}; expected the journal of a {kind}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// `run` or `study`.
        kind: &'static str,
        /// Error of the system.
        source: std::io::Error,
    },
    /// A report could not be written.
    #[error("{}: could not be written: {source}; expected a folder that can be written to", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Error of the system.
        source: std::io::Error,
    },
    /// The journal does not begin with its header: a row `run`, or `study`.
    #[error("{}:1: {why}; expected the first line to be the row {{\"{kind}\": {{...}}}}", path.display())]
    NoHeader {
        /// The file.
        path: PathBuf,
        /// `run` or `study`.
        kind: &'static str,
        /// What is there instead.
        why: String,
    },
    /// The journal has a format that this program cannot read.
    #[error("{}: the journal has format {found}; expected format {format} or older", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: String,
        /// The newest format that this program reads.
        format: u32,
    },
    /// A table could not be built or encoded.
    #[error("{name}: the table could not be written: {source}")]
    Table {
        /// Name of the table.
        name: &'static str,
        /// Error of polars.
        source: polars::error::PolarsError,
    },
    /// A plot could not be drawn.
    #[error("{name}: the plot could not be drawn: {why}")]
    Plot {
        /// File or name of the plot.
        name: String,
        /// Error of plotters.
        why: String,
    },
    /// Data shipped with the program are damaged.
    #[error("{name}: {why}; expected the data file that ships with this program")]
    Data {
        /// The file.
        name: &'static str,
        /// Error of the parser.
        why: String,
    },
}
