//! From the journal of a run to what people read: tables, Pareto fronts, the mobile efficiency score, plots, a page.
//!
//! ```no_run
//! # fn main() -> Result<(), crate::ReportError> {
//! let run_dir = std::path::Path::new("runs/mobilevit_v1_quick");
//! let frame = crate::read(run_dir)?;
//! let written = crate::render(&frame, run_dir)?;
//! for best in crate::five_best(&frame) {
//!     println!("{best}");
//! }
//! println!("see {}", written.index.display());
//! # Ok(())
//! # }
//! ```
//!
//! The run's folder is the only input: its journal, and its config if it is there. Nothing is measured here, and no clock
//! is read. The same folder gives the same bytes.

mod best;
pub mod changes;
pub mod drift;
mod error;
pub mod flat;
mod frame;
pub mod genome;
pub mod history;
mod journal;
pub mod knobs;
pub mod layers;
pub mod page;
pub mod plot;
pub mod predictors;
pub mod published;
pub mod study;
pub mod table;
pub mod winners;

use std::path::{Path, PathBuf};

use rayon::prelude::{IntoParallelRefIterator, ParallelIterator};

pub use best::{Best, five_best};
pub use error::ReportError;
pub use frame::{Counts, Entry, Frame};
pub use journal::FILE as JOURNAL;
pub use page::{compare, render_latency_table, render_study};

/// What [`render`] wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Every file, in the order they were written.
    pub files: Vec<PathBuf>,
    /// The page to open first.
    pub index: PathBuf,
}

/// Reads the run in `run_dir`, finished or not.
///
/// # Errors
/// If there is no journal, or it has no header or another format. Damaged lines become caveats.
pub fn read(run_dir: &Path) -> Result<Frame, ReportError> {
    Frame::read(run_dir)
}

/// Writes every report into `out`, mostly the run's own folder: `trials.csv`, `trials.parquet`, `report/index.html`,
/// `report/predictors.csv`, `report/table.md`, `report/table.tex` and `report/*.png`, `report/*.svg` for each plot that has a point. Files of an
/// earlier report are replaced.
///
/// # Errors
/// If a file cannot be made or written; the files before it are then in place.
pub fn render(frame: &Frame, out: &Path) -> Result<Written, ReportError> {
    // Before what follows side by side, so that whoever comes first meets the same.
    std::fs::create_dir_all(out).map_err(|source| ReportError::Write { path: out.to_owned(), source })?;
    let mut site = page::Site::new(out);
    // The page is made beside the other files, and written last, so that what it links to is there.
    let files = || {
        let one = |report: &&dyn page::Report| {
            let mut own = page::Site::new(out);
            report.render(frame, &mut own).map(|()| own)
        };
        page::REPORTS.par_iter().map(one).collect::<Result<Vec<_>, _>>()
    };
    let (page, files) = rayon::join(|| page::page(frame), files);
    files?.into_iter().for_each(|own| site.adopt(own));
    site.write(page::INDEX, page?.as_bytes())?;
    Ok(Written { files: site.written().to_vec(), index: out.join(page::INDEX) })
}
