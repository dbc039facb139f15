//! The folder of a run: resolved config, journal, weights, report.

use mobilenas_record::run::{JournalRow, RunHeader};
use mobilenas_space::fnv::text_digest;

use super::RunError;
use crate::config;
use crate::folder::Kept;
use crate::journal;

/// A run's folder with its journal open.
pub type Folder = crate::folder::Folder<JournalRow>;

impl Kept for JournalRow {
    const FILE: &str = journal::FILE;
    const INSIDE: &str = "winners";
    const COMMAND: &str = "mobilenas search";
}

/// Digest of a resolved config.
///
/// # Errors
/// Never for a config that was loaded.
pub fn config_digest(config: &impl serde::Serialize) -> Result<String, RunError> {
    let text = config::to_yaml(config).map_err(|e| RunError::Config(e.to_string()))?;
    Ok(text_digest(&text))
}

impl Folder {
    /// Refuses to go on with a run of another version, config or format.
    ///
    /// # Errors
    /// When something differs.
    pub fn check_header(&self, own: &RunHeader) -> Result<(), RunError> {
        let Some(JournalRow::Run(there)) = self.rows.first() else {
            return Err(self.other("kind", "a journal that does not begin with its run", journal::FILE));
        };
        let table = |run: &RunHeader| run.engine.table.as_ref().map_or("none", |t| t.digest.as_str()).to_string();
        self.same([
            ("format", there.format.to_string(), own.format.to_string()),
            ("program version", there.program.clone(), own.program.clone()),
            ("config", there.config_digest.clone(), own.config_digest.clone()),
            ("latency table", table(there), table(own)),
        ])
    }
}
