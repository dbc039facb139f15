//! A study under way: what its phases share.

use std::path::Path;

use mobilenas_host::{Clock, Progress, Stop};
use mobilenas_record::run::Caveat;
use mobilenas_reports::study::{NetworkOrigin, StudyNetwork, StudyRow};
use mobilenas_space::Genome;
use mobilenas_train::collective::Collective;

use crate::Folder;
use mobilenas_pipeline::config::{self, Origin, StudyConfig};
use mobilenas_pipeline::experiment::{Experiment, ExperimentError, Experiments, checked};
use mobilenas_pipeline::pipeline::RunError;

/// A study's config, checked through.
#[derive(Debug)]
pub struct StudyPlan {
    /// The search: spaces, images, device.
    pub experiments: Experiments,
    /// The whole config.
    pub config: StudyConfig,
    /// Digest of it; of a study that is resumed, of the config that it began with.
    pub digest: String,
}

impl StudyPlan {
    /// Reads and checks a config, or the one in the folder of a study, and loads its images.
    ///
    /// # Errors
    /// What the user has to mend, all mistakes of the config at once.
    pub fn prepare(file: &Path, origin: Origin) -> Result<StudyPlan, RunError> {
        let (loaded, study) = config::load_study(file, origin).map_err(ExperimentError::from)?;
        let config = StudyConfig { search: loaded.config.clone(), study };
        Ok(StudyPlan { experiments: checked(loaded)?, digest: config::digest(&config)?, config })
    }
}

impl StudyPlan {
    /// The first space's experiment, from which all that is common to all spaces is read.
    pub fn experiment(&self) -> &Experiment {
        self.experiments.first()
    }

    /// What files and rows of the space at a position are named with, after a hyphen; nothing where there is one space.
    pub(super) fn suffix(&self, space: usize) -> String {
        self.experiments.all()[space].entry.name.as_ref().map_or_else(String::new, |name| format!("-{name}"))
    }
}

/// A study under way.
pub struct Study<'a> {
    /// The config, checked through.
    pub plan: &'a StudyPlan,
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

/// What a phase ends as when it was asked to stop.
#[derive(Debug)]
pub(super) enum StudyInterrupt {
    Stopped,
    Failed(RunError),
}

impl<E: Into<RunError>> From<E> for StudyInterrupt {
    fn from(e: E) -> StudyInterrupt {
        StudyInterrupt::Failed(e.into())
    }
}

impl Study<'_> {
    /// Writes a caveat, once.
    pub(super) fn caveat(&mut self, text: String) -> Result<(), RunError> {
        let row = StudyRow::Caveat(Caveat { text });
        if self.folder.rows.contains(&row) { Ok(()) } else { self.folder.append(row) }
    }

    /// Networks of the study so far, of one origin.
    pub(super) fn networks(&self, origin: NetworkOrigin) -> Vec<StudyNetwork> {
        let of = |r: &StudyRow| match r {
            StudyRow::Network(n) if n.origin == origin => Some(n.clone()),
            _ => None,
        };
        self.folder.rows.iter().filter_map(of).collect()
    }

    /// The position of a network's space.
    pub(super) fn position(&self, network: &StudyNetwork) -> Result<usize, RunError> {
        Ok(self.plan.experiments.position(network.space.as_deref())?)
    }

    pub(super) fn genome(&self, network: &StudyNetwork) -> Result<Genome, RunError> {
        let p = &self.plan.experiments.all()[self.position(network)?];
        p.space.genome(&network.genome).map_err(RunError::Genome)
    }
}
