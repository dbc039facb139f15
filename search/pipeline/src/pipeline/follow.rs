//! What the other processes do while the first runs a search or a study.

use std::path::{Path, PathBuf};

use mobilenas_host::{Clock, Progress, Stop};
use mobilenas_train::collective::Collective;
use mobilenas_train::reduction::broadcast_store;

use super::RunError;
use super::order::Order;
use super::retraining::Job;
use super::scoring_pool::RankAnswers;
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
    experiments: &[Experiment],
    collective: &dyn Collective,
    (clock, stop): (&dyn Clock, &Stop),
) -> Result<i32, RunError> {
    let Some(first) = experiments.first() else { return Err(RunError::NoSpace(0)) };
    let (config, calibration, mut scorers) = (&first.config, first.calibration(), Vec::new());
    // A study scores with more threads.
    let mut threads = config.scoring_threads();
    while let Some(order) = collective.follow() {
        match serde_json::from_str(&order)? {
            Order::TrainSupernet(position, settings) => {
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
            Order::Supernet { study } => {
                tch::set_num_threads(config.threads as i32);
                threads = if study { config.threads } else { config.scoring_threads() };
                scorers.clear();
                for p in experiments {
                    let store = p.supernet_store()?;
                    broadcast_store(collective, &store)?;
                    let of_search = || p.evaluator_config(&calibration, clock, f64::NAN);
                    scorers.push(match study {
                        true => Scorer::Study(Box::new(p.inherited_evaluator(store)?)),
                        false => Scorer::Search(Box::new(SupernetEvaluator::new(store, of_search())?)),
                    });
                }
            }
            Order::Score(jobs) => {
                let part = RankAnswers::of((collective.rank(), &jobs), stop, config.search.retries, &mut |job| {
                    tch::set_num_threads(threads as i32);
                    match experiments.get(job.space).zip(scorers.get_mut(job.space)) {
                        Some((p, scorer)) => scorer.answer(p, job),
                        None => Err("no supernet was given before".to_string()),
                    }
                });
                collective.answer(&serde_json::to_string(&part)?);
            }
            Order::End(code) => return Ok(code),
        }
    }
    Ok(0)
}
