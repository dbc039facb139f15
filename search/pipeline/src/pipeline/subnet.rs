//! Networks that leave a run: a subnet of its supernet as a network of its own, and the words that go with weights.

use std::path::Path;
use std::sync::Arc;

use mobilenas_space::ir::Graph;
use mobilenas_torch::weights::About;
use mobilenas_torch::{Net, ParamStore, weights};
use mobilenas_train::collective::{Collective, Local};
use mobilenas_train::reduction::broadcast_store;

use super::RunError;
use crate::evaluator::inherited::InheritedEvaluator;
use crate::evaluator::{self, EvalError};
use crate::experiment::Experiment;

impl Experiment {
    /// Words that go into every weights file of a run.
    pub fn about(&self) -> About {
        let mut words = self.train.words();
        words.extend([
            ("program".to_string(), format!("mobilenas {}", env!("CARGO_PKG_VERSION"))),
            ("family".to_string(), self.space.family().name().to_string()),
            ("config_digest".to_string(), self.digest.clone()),
        ]);
        let head = self.config.task_config().words().into_iter().flatten();
        words.extend(head.map(|(k, v)| (k.to_string(), v)));
        words
    }

    /// A supernet with the images that its subnets are scored on, as a study does. It times nothing.
    ///
    /// # Errors
    /// When libtorch refuses, or too many images are damaged.
    pub fn inherited_evaluator(&self, supernet: ParamStore) -> Result<InheritedEvaluator, EvalError> {
        let limit = self.config.scoring.images.unwrap_or(usize::MAX);
        let scored = (&self.split.search_val, limit, self.config.scoring.batch);
        InheritedEvaluator::new((supernet, self.task), &self.train, scored, &self.calibration())
    }
}

/// The trained supernet in a run's folder.
///
/// # Errors
/// When it is not there yet, or not the config's.
pub fn stored_supernet(experiment: &Experiment, root: &Path) -> Result<ParamStore, RunError> {
    supernet_in(experiment, &root.join(experiment.supernet_file()))
}

/// A trained supernet of a config in a file.
///
/// # Errors
/// As for [`stored_supernet`].
pub fn supernet_in(experiment: &Experiment, file: &Path) -> Result<ParamStore, RunError> {
    let mut store = experiment.supernet_store()?;
    store.fill(&weights::load(file)?.0)?;
    Ok(store)
}

/// Binds a graph to slices of the supernet in a run's folder and recalibrates its batch norms on the run's own images, as
/// scoring does.
///
/// # Errors
/// When the supernet is not there yet or not the config's, or the graph is none of its subnets.
pub fn subnet(experiment: &Experiment, root: &Path, graph: Arc<Graph>) -> Result<Net, RunError> {
    subnet_among(experiment, &root.join(experiment.supernet_file()), graph, &Local)
}

/// The same on the supernet in a file, by all of several processes, of which the first alone sees the file.
pub(super) fn subnet_among(
    p: &Experiment,
    file: &Path,
    graph: Arc<Graph>,
    collective: &dyn Collective,
) -> Result<Net, RunError> {
    let store = if collective.leads() { supernet_in(p, file)? } else { p.supernet_store()? };
    broadcast_store(collective, &store)?;
    let how = (p.config.scoring.statistics, &p.calibration()[..]);
    Ok(evaluator::subnet(&store, graph, &p.train, how, collective)?)
}
