//! A search under way: what its phases share.

use mobilenas_host::{Clock, Progress, Stop};
use mobilenas_record::run::{Caveat, JournalRow, Trial};
use mobilenas_train::collective::Collective;

use super::{Folder, RunError};
use crate::config::{Config, SpaceEntry};
use crate::experiment::{Experiment, ExperimentError, Experiments};

/// The name of a space's files: `supernet`, or `supernet-NAME` of one of several.
fn supernet_name(space: Option<&str>) -> String {
    space.map_or_else(|| "supernet".to_string(), |name| format!("supernet-{name}"))
}

/// The files of a config's trained supernets in a run's folder.
pub fn supernet_files(config: &Config) -> Vec<String> {
    let of = |entry: SpaceEntry| format!("{}.safetensors", supernet_name(entry.name.as_deref()));
    config.entries().into_iter().map(of).collect()
}

impl Experiment {
    /// Name of the files of its supernet in a run's folder, without their endings.
    pub fn supernet_name(&self) -> String {
        supernet_name(self.entry.name.as_deref())
    }

    /// The file of its trained supernet in a run's folder.
    pub fn supernet_file(&self) -> String {
        format!("{}.safetensors", self.supernet_name())
    }
}

/// A search under way.
pub struct SearchPipeline<'a> {
    /// The config, checked through.
    pub experiments: &'a Experiments,
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
    /// The first space's experiment, from which all that is common to all spaces is read.
    pub(super) fn experiment(&self) -> &'a Experiment {
        self.experiments.first()
    }

    /// The position of a trial's space.
    pub(super) fn position(&self, trial: &Trial) -> Result<usize, ExperimentError> {
        self.experiments.position(trial.space.as_deref())
    }

    /// The experiment of a trial's space.
    pub(super) fn experiment_of(&self, trial: &Trial) -> Result<&'a Experiment, ExperimentError> {
        Ok(&self.experiments.all()[self.position(trial)?])
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
