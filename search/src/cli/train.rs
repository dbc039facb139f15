//! `mobilenas train CONFIG`

use anyhow::Result;
use mobilenas_host::WallClock;

use super::job::Job;
use super::ranks;
use mobilenas_host::Progress;
use mobilenas_host::Stop;
use mobilenas_host::{errln, outln};
use mobilenas_pipeline::experiment::threads::more_threads_than_cores;
use mobilenas_pipeline::pipeline::train_job::{TrainJob, TrainJobOutcome};
use mobilenas_train::collective::Collective;

/// Trains one network.
///
/// # Errors
/// When the input is wrong or the training fails.
pub fn run(job: &Job) -> Result<i32> {
    ranks::among(|collective| train(job, collective))
}

fn train(job: &Job, collective: &dyn Collective) -> Result<i32> {
    let train_job = TrainJob::prepare_among(&job.config, collective)?;
    let root = job.folder("runs", train_job.config.name());
    let (clock, stop, leads) = (WallClock::new(), Stop::within_seconds()?, collective.leads());
    if leads {
        errln!("{}", train_job.summary());
        if !collective.alone() {
            errln!("{} processes with {} threads each", collective.ranks(), train_job.config.threads);
        }
        if let Some(warning) = more_threads_than_cores("threads", train_job.config.threads as usize) {
            errln!("warning: {warning}");
        }
    }
    let bar = if leads { Progress::new("train") } else { Progress::hidden() };
    match train_job.run(&root, job.resume, &clock, &stop, &bar, collective)? {
        TrainJobOutcome::Stopped => Ok(ranks::stopped(&stop, collective)),
        TrainJobOutcome::Done(result) => {
            if leads {
                outln!("{result}")?;
                outln!("weights: {}", root.join("weights.safetensors").display())?;
            }
            Ok(0)
        }
    }
}
