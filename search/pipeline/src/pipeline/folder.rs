//! The folder of a run: resolved config, journal, weights, report.

use mobilenas_record::run::{FORMAT, JournalRow, RunHeader};

use super::RunError;
use crate::folder::{Header, Kept};
use crate::journal;

/// A run's folder with its journal open.
pub type Folder = crate::folder::Folder<JournalRow>;

impl Kept for JournalRow {
    const FILE: &str = journal::FILE;
    const INSIDE: &str = "winners";
    const COMMAND: &str = "mobilenas search";
    const FORMAT: u32 = FORMAT;

    fn header(&self) -> Option<Header<'_>> {
        match self {
            JournalRow::Run(run) => {
                Some(Header { format: run.format, program: &run.program, config_digest: &run.config_digest })
            }
            _ => None,
        }
    }
}

impl Folder {
    /// Refuses to go on with a run whose latencies come from another table.
    ///
    /// # Errors
    /// When the table differs.
    pub fn check_table(&self, own: &RunHeader) -> Result<(), RunError> {
        let Some(JournalRow::Run(there)) = self.rows.first() else { return Ok(()) };
        let digest = |run: &RunHeader| {
            let of_spaces = run.spaces.iter().filter_map(|s| s.table.as_ref());
            let all = run.engine.table.iter().filter(|_| run.spaces.is_empty()).chain(of_spaces);
            let all: Vec<&str> = all.map(|t| t.digest.as_str()).collect();
            if all.is_empty() { "none".to_string() } else { all.join(", ") }
        };
        let (found, expected) = (digest(there), digest(own));
        if found == expected { Ok(()) } else { Err(self.other("latency table", found, expected)) }
    }

    /// Refuses to go on with a run whose latencies another device took, or the same one in another way.
    ///
    /// # Errors
    /// When device, runtime or protocol differ.
    pub fn check_device(&self, own: &RunHeader) -> Result<(), RunError> {
        let Some(JournalRow::Run(there)) = self.rows.first() else { return Ok(()) };
        let words = |run: &RunHeader| format!("{} {}, {}", run.engine.name, run.engine.version, run.engine.protocol);
        if there.engine == own.engine { Ok(()) } else { Err(self.other("device", words(there), words(own))) }
    }
}
