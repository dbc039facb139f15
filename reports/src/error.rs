//! What can go wrong while a run is read or its reports are written.

use std::path::PathBuf;

/// An error of this crate: which file, what happened, what was expected.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The journal could not be read.
    #[error("{}: could not be read: {source}; expected the journal of a {kind}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// `run` or `study`.
        kind: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A report could not be written.
    #[error("{}: could not be written: {source}; expected a folder that can be written to", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The journal does not begin with its header: a row `run`, or `study`.
    #[error("{}:1: {why}; expected the first line to be the row {{\"{kind}\": {{...}}}}", path.display())]
    NoHeader {
        /// The file.
        path: PathBuf,
        /// `run` or `study`.
        kind: &'static str,
        /// What stands there instead.
        why: String,
    },
    /// The journal was written in another format.
    #[error("{}: the journal has format {found}; expected format {format}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The format it says it has.
        found: String,
        /// The format that this program reads.
        format: u32,
    },
    /// The table of trials could not be built or encoded.
    #[error("{name}: the table could not be made: {source}; expected one row a trial")]
    Table {
        /// Name of the table.
        name: &'static str,
        /// What polars said.
        source: polars::error::PolarsError,
    },
    /// A plot could not be drawn.
    #[error("{name}: the plot could not be drawn: {why}; expected a plot")]
    Plot {
        /// File or name of the plot.
        name: String,
        /// What plotters said.
        why: String,
    },
    /// The data that ship with the program are damaged.
    #[error("{name}: {why}; expected the data file that ships with this program")]
    Data {
        /// The file.
        name: &'static str,
        /// What the parser said.
        why: String,
    },
}
