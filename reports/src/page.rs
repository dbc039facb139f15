//! The reports, one file each. A new report is a file here and a line in [`REPORTS`].

mod html;
mod index;
mod pareto;
mod retrained;
mod site;
mod tables;

pub use html::escape;
pub use index::FILE as INDEX;
pub use site::Site;

use crate::{Frame, ReportError};

/// Something that is written about a run.
pub trait Report: Sync {
    /// Name of the report, one word.
    fn name(&self) -> &str;

    /// Writes the report's files into the site. The same frame gives the same bytes.
    ///
    /// # Errors
    /// If a file cannot be made or written.
    fn render(&self, f: &Frame, out: &mut Site) -> Result<(), ReportError>;
}

/// All reports, in the order they are written: the page comes last, so that what it links to is there.
pub static REPORTS: &[&dyn Report] = &[&tables::Tables, &pareto::Pareto, &retrained::Winners, &index::Index];
