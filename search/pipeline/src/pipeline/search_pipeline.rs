//! A search under way: what its phases share.

use mobilenas_host::{Clock, Progress, Stop};
use mobilenas_record::run::{Caveat, JournalRow};
use mobilenas_train::collective::Collective;

use super::crew::Among;
use super::{Folder, RunError};
use crate::experiment::Experiment;

/// File of the trained supernet in a run's folder.
pub const SUPERNET: &str = "supernet.safetensors";

/// A search under way.
pub struct SearchPipeline<'a> {
    /// The config, checked through.
    pub experiment: &'a Experiment,
    /// Its folder.
    pub folder: Folder,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Whether to stop.
    pub stop: &'a Stop,
    /// The processes that train together; this one is their first.
    pub collective: &'a dyn Collective,
    /// Makes a progress line for a phase.
    pub progress: fn(&'static str) -> Progress,
}

impl<'a> SearchPipeline<'a> {
    /// The processes that score together.
    pub(super) fn among(&self) -> Among<'a> {
        Among { collective: self.collective, clock: self.clock, stop: self.stop }
    }

    /// Writes a caveat, once.
    pub(super) fn caveat(&mut self, text: String) -> Result<(), RunError> {
        let row = JournalRow::Caveat(Caveat { text });
        if self.folder.rows.contains(&row) { Ok(()) } else { self.folder.append(row) }
    }

    /// A caveat for a training that left steps out.
    pub(super) fn left_out(&mut self, what: &str, skipped: u64, steps: u64) -> Result<(), RunError> {
        match skipped {
            0 => Ok(()),
            n => self.caveat(format!(
                "Training {what} left out {n} of {steps} steps, whose loss or gradient was not finite."
            )),
        }
    }
}
