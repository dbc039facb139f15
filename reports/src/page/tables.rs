//! `trials.csv` and `trials.parquet`: every trial with everything known about it, for one's own analyses.

use super::{Report, Site};
use crate::{Frame, ReportError, table};

/// The table of trials in both formats.
pub struct Tables;

impl Report for Tables {
    fn name(&self) -> &str {
        "tables"
    }

    fn render(&self, f: &Frame, out: &mut Site) -> Result<(), ReportError> {
        let (csv, parquet) = rayon::join(|| table::csv(f), || table::parquet(f));
        out.write(table::CSV, &csv?)?;
        out.write(table::PARQUET, &parquet?)
    }
}
