//! Networks that leave a run: a subnet of its supernet as a network of its own, and the words that go with weights.

use std::path::Path;
use std::sync::Arc;

use mobilenas_space::ir::Graph;
use mobilenas_torch::weights::About;
use mobilenas_torch::{Net, ParamStore, weights};

use super::RunError;
use crate::evaluator;
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
    let store = stored_supernet(experiment, root)?;
    Ok(evaluator::subnet(
        &store,
        graph,
        &experiment.train,
        (experiment.config.scoring.statistics, &experiment.calibration()),
    )?)
}
