//! The page of one run.

use std::path::Path;

use super::folder::{OutputFolder, Written};
use super::section::{Section, write_page};
use super::summary::summary;
use super::{
    files, knobs, left_out, methods, pictures, progress, published, reliability, retrained, this_run, trial_table,
    trials,
};
use crate::error::ReportError;
use crate::run_data::RunData;

/// The page's path below the folder that is rendered into.
pub const INDEX: &str = "report/index.html";

/// The sections of a run's page, in order.
pub static SECTIONS: &[Section<RunData>] = &[
    trials::SECTION,
    retrained::SECTION,
    pictures::SECTION,
    trial_table::FRONT,
    trial_table::VARIANTS,
    progress::SECTION,
    knobs::SECTION,
    left_out::SECTION,
    reliability::SECTION,
    methods::SECTION,
    this_run::SECTION,
    published::SECTION,
    files::SECTION,
];

/// Writes a run's page and all files beside it into `out`, usually the run's own folder: `report/index.html`, `trials.csv`,
/// `trials.parquet`, tables, and `report/*.png` and `report/*.svg` for each plot that has a point. Files of an earlier
/// report are replaced.
///
/// # Errors
/// If a file cannot be made or written; the files before it are then in place.
pub fn render(run: &RunData, out: &Path) -> Result<Written, ReportError> {
    // Where variants were trained as the found networks were, these trainings are the answer, and come first.
    let trained_alike = run.retrained.iter().any(|r| run.trial(r.trial).is_some_and(|t| t.variant().is_some()));
    let mut sections: Vec<_> = SECTIONS.iter().collect();
    sections.sort_by_key(|s| trained_alike && s.name != retrained::SECTION.name);
    write_page(run, &sections, &run.header.name, &summary(run), INDEX, OutputFolder::new(out))
}
