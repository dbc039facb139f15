//! What the other processes do while the first runs a search or a study.

use std::path::{Path, PathBuf};

use mobilenas_host::{Clock, Progress, Stop};
use mobilenas_train::collective::Collective;
use mobilenas_train::reduction::broadcast_store;

use super::RunError;
use super::crew::Part;
use super::order::Order;
use super::retraining::Job;
use super::supernet_training::SupernetTraining;
use crate::config::SupernetConfig;
use crate::evaluator::SupernetEvaluator;
use crate::evaluator::inherited::InheritedEvaluator;
use crate::experiment::Experiment;
use crate::worker::{self, Answer};

/// What scores, as a search does or as a study does.
enum Scorer<'a> {
    Search(Box<SupernetEvaluator<'a>>),
    Study(Box<InheritedEvaluator>),
}

impl Scorer<'_> {
    fn answer(&mut self, p: &Experiment, job: &worker::Job) -> Answer {
        match self {
            Scorer::Search(scorer) => worker::answer(p, job, scorer.as_mut()),
            Scorer::Study(scorer) => worker::answer_of_study(p, job, scorer),
        }
    }
}

/// Trains and scores what the first process leads, until it ends; gives its exit code. Nothing is written here.
///
/// # Errors
/// When a training fails.
pub fn follow(
    experiment: &Experiment,
    collective: &dyn Collective,
    (clock, stop): (&dyn Clock, &Stop),
) -> Result<i32, RunError> {
    let (config, calibration, mut scorer) = (&experiment.config, experiment.calibration(), None);
    while let Some(order) = collective.follow() {
        match serde_json::from_str(&order)? {
            Order::TrainSupernet(settings) => {
                let settings: SupernetConfig = serde_json::from_value(settings)?;
                let training = SupernetTraining {
                    experiment,
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
                job.run(experiment, Path::new(""), (clock, stop), &Progress::hidden(), collective)?;
            }
            Order::Supernet { study } => {
                let store = experiment.supernet_store()?;
                broadcast_store(collective, &store)?;
                tch::set_num_threads(config.threads as i32);
                let of_search = || experiment.evaluator_config(&calibration, clock, f64::NAN);
                let made = match study {
                    true => Scorer::Study(Box::new(experiment.inherited_evaluator(store)?)),
                    false => Scorer::Search(Box::new(SupernetEvaluator::new(store, of_search())?)),
                };
                scorer = Some((made, if study { config.threads } else { config.scoring_threads() }));
            }
            Order::Score(jobs) => {
                let none = || Err("no supernet was given before".to_string());
                let part = Part::of((collective.rank(), &jobs), stop, config.search.retries, &mut |job| {
                    let Some((scorer, threads)) = &mut scorer else { return none() };
                    tch::set_num_threads(*threads as i32);
                    scorer.answer(experiment, job)
                });
                collective.answer(&serde_json::to_string(&part)?);
            }
            Order::End(code) => return Ok(code),
        }
    }
    Ok(0)
}
