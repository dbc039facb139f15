//! `mobilenas search CONFIG`

use anyhow::Result;
use mobilenas_host::WallClock;

use super::job::Job;
use super::ranks;
use mobilenas_bench::engine::onnxruntime;
use mobilenas_host::Progress;
use mobilenas_host::Stop;
use mobilenas_host::{errln, outln};
use mobilenas_pipeline::evaluator::EvalError;
use mobilenas_pipeline::experiment::{Experiment, ExperimentError, Experiments, estimate, prepare};
use mobilenas_pipeline::pipeline::{Folder, RunError, SearchOutcome, SearchPipeline, follow};
use mobilenas_train::collective::Collective;
use mobilenas_train::teacher::teacher;
use tch::Device;

/// Runs a search.
///
/// # Errors
/// When the input is wrong or the run fails.
pub fn run(job: &Job) -> Result<i32> {
    ranks::among(|collective| {
        let experiments = prepare(&job.config).and_then(|p| p.among(collective)).map_err(RunError::from)?;
        ranks::check_same(collective, experiments.first())?;
        match collective.leads() {
            true => ranks::lead(collective, || search(job, experiments, collective)),
            false => Ok(follow(experiments.all(), collective, (&WallClock::new(), &Stop::within_seconds()?))?),
        }
    })
}

fn search(job: &Job, mut experiments: Experiments, collective: &dyn Collective) -> Result<i32> {
    let warnings = experiments.warnings().map_err(RunError::from)?;
    let root = job.folder("runs", experiments.config.name());
    if root.exists() && !job.resume {
        return Err(RunError::Exists(root).into());
    }
    let (clock, stop) = (WallClock::new(), Stop::within_seconds()?);
    errln!("{}", experiments.summary());
    for warning in warnings {
        errln!("warning: {warning}");
    }
    tch::set_num_threads(experiments.config.threads as i32);
    if !job.resume {
        experiments.all().iter().try_for_each(check_needs)?;
    }
    experiments.check_latency(&clock).map_err(RunError::from)?;
    let folder = Folder::open(&root, &experiments.config, job.resume)?;
    experiments.set_digest(&folder.digest);
    // A run that goes on shows how far it is.
    if !job.resume {
        errln!("{}", experiments.estimate_in_words(&clock, estimate::BUDGET).map_err(RunError::from)?);
    }
    let run = SearchPipeline {
        experiments: &experiments,
        folder,
        clock: &clock,
        stop: &stop,
        collective,
        progress: Progress::new,
    };
    match run.run()? {
        SearchOutcome::Stopped => Ok(ranks::stopped(&stop, collective)),
        SearchOutcome::Done(run, page) => {
            outln!("the five best of the front:")?;
            for best in mobilenas_reports::five_best(&run) {
                outln!("{best}")?;
            }
            outln!("report: {}", page.display())?;
            Ok(0)
        }
    }
}

/// Reads the files of weights that the config names, and looks for what it needs beside libtorch, before anything is written
/// or trained.
fn check_needs(experiment: &Experiment) -> Result<(), RunError> {
    let config = &experiment.config;
    if experiment.quantizes() {
        onnxruntime::check().map_err(EvalError::from)?;
    }
    let space = &experiment.space;
    let side = space.lower(&space.largest()).map_err(ExperimentError::from)?.input().dims[1];
    for recipe in [&config.supernet.recipe, &config.retrain.recipe] {
        teacher(recipe, (&config.task_config(), space.classes(), side), Device::Cpu)?;
    }
    if config.supernet.init.is_some() {
        experiment.initial_supernet()?;
    }
    Ok(())
}
