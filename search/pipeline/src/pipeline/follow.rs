//! What the other processes do while the first runs a search or a study.

use std::path::{Path, PathBuf};

use mobilenas_host::{Clock, Progress, Stop};
use mobilenas_train::collective::Collective;

use super::RunError;
use super::order::Order;
use super::retraining::Job;
use super::supernet_training::SupernetTraining;
use crate::config::SupernetConfig;
use crate::experiment::Experiment;

/// Trains what the first process trains, until it ends; gives its exit code. Nothing is written here.
///
/// # Errors
/// When a training fails.
pub fn follow(
    experiments: &[Experiment],
    collective: &dyn Collective,
    (clock, stop): (&dyn Clock, &Stop),
) -> Result<i32, RunError> {
    while let Some(order) = collective.follow() {
        match serde_json::from_str(&order)? {
            Order::Supernet(position, settings) => {
                let Some(experiment) = experiments.get(position) else { return Err(RunError::NoSpace(position)) };
                let settings: SupernetConfig = serde_json::from_value(settings)?;
                let training = SupernetTraining {
                    experiment,
                    position,
                    settings: &settings,
                    checkpoint: PathBuf::new(),
                    log: PathBuf::new(),
                    digest: String::new(),
                    clock,
                    stop,
                    collective,
                };
                training.run(&Progress::hidden())?;
            }
            Order::Retrain(job) => {
                let job: Job = serde_json::from_value(job)?;
                job.run(experiments, Path::new(""), (clock, stop), &Progress::hidden(), collective)?;
            }
            Order::End(code) => return Ok(code),
        }
    }
    Ok(0)
}
