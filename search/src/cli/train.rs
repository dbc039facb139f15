//! `mobilenas train CONFIG`

use anyhow::Result;
use mobilenas_host::WallClock;

use super::job::{Job, stopped};
use mobilenas_host::Progress;
use mobilenas_host::Stop;
use mobilenas_host::{errln, outln};
use mobilenas_pipeline::experiment::threads::more_threads_than_cores;
use mobilenas_pipeline::pipeline::train_job::{TrainJob, TrainJobOutcome};

/// Trains one network.
///
/// # Errors
/// When the input is wrong or the training fails.
pub fn run(job: &Job) -> Result<i32> {
    let train_job = TrainJob::prepare(&job.config)?;
    let root = job.folder("runs", train_job.config.name());
    let (clock, stop) = (WallClock::new(), Stop::within_seconds()?);
    errln!("{}", train_job.summary());
    if let Some(warning) = more_threads_than_cores("threads", train_job.config.threads as usize) {
        errln!("warning: {warning}");
    }
    match train_job.run(&root, job.resume, &clock, &stop, &Progress::new("train"))? {
        TrainJobOutcome::Stopped => Ok(stopped(&stop)),
        TrainJobOutcome::Done(result) => {
            outln!("{result}")?;
            outln!("weights: {}", root.join("weights.safetensors").display())?;
            Ok(0)
        }
    }
}
