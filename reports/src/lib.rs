//! From the journal of a run to what people read: tables, Pareto fronts, plots, pages.
//!
//! [`read`] reads a run's folder, [`render`] writes the report, [`five_best`] gives its first lines.
//!
//! The run's folder is the only input: its journal, and its config if it is there. Nothing is measured and no clock is read
//! here. The same folder gives the same bytes.

pub mod answer;
pub mod bench_history;
mod best;
mod changes;
mod error;
mod escape;
pub mod flat;
mod genome;
mod history;
mod journal;
mod knobs;
mod layers;
mod metrics;
pub mod page;
pub mod plot;
mod predictors;
mod published;
mod retrained;
mod run_data;
pub mod study;
pub mod table;
pub mod zoo;

use std::path::Path;

pub use best::five_best;
pub use error::ReportError;
pub use journal::FILE as JOURNAL;
pub use page::{Written, compare, render, render_latency_table, render_study};
pub use run_data::{OutcomeCounts, RunData, RunTrial};

/// Reads the run in `run_dir`, finished or not.
///
/// # Errors
/// If there is no journal, or it has no header or an unknown format. Damaged lines become caveats.
pub fn read(run_dir: &Path) -> Result<RunData, ReportError> {
    RunData::read(run_dir)
}
