//! The folder of a run: resolved config, journal, weights, report.

use mobilenas_record::run::{JournalRow, RunHeader};

use super::RunError;
use crate::config;
use crate::folder::Kept;
use crate::journal;

/// A run's folder with its journal open.
pub type Folder = crate::folder::Folder<JournalRow>;

impl Kept for JournalRow {
    const FILE: &str = journal::FILE;
    const INSIDE: &str = "winners";
}

/// Digest of a resolved config.
///
/// # Errors
/// Never for a config that was loaded.
pub fn config_digest(config: &impl serde::Serialize) -> Result<String, RunError> {
    let text = config::to_yaml(config).map_err(|e| RunError::Config(e.to_string()))?;
    let eat = |mut h: u64, step: u64| {
        for b in text.bytes() {
            h = (h ^ u64::from(b)).wrapping_mul(step);
            h ^= h >> 31;
        }
        h
    };
    Ok(format!(
        "{:016x}{:016x}",
        eat(0xcbf2_9ce4_8422_2325, 0x0000_0100_0000_01b3),
        eat(0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93)
    ))
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
