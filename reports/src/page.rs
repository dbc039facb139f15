//! The reports, one file each. A new report is a file here and a line in [`REPORTS`].

mod compare;
mod html;
mod index;
mod knobs;
mod landscape;
mod papers;
mod pareto;
mod predicted;
mod predictors;
mod progress;
mod retrained;
mod script;
mod site;
mod study;
mod tables;
mod trials;
mod trust;
mod view;

pub use compare::compare;
pub use html::escape;
pub use index::FILE as INDEX;
pub(crate) use index::page;
pub use predicted::render_latency_table;
pub use site::Site;
pub use study::render as render_study;

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

/// All reports but the page, in the order they are written.
pub static REPORTS: &[&dyn Report] = &[
    &tables::Tables,
    &predictors::Predictors,
    &papers::Papers,
    &pareto::Pareto,
    &retrained::Winners,
    &predicted::Predicted,
    &progress::Progress,
    &landscape::Landscape,
];
