//! `mobilenas study CONFIG`

use anyhow::Result;
use mobilenas_host::WallClock;

use super::job::{Job, stopped};
use crate::pipeline::RunError;
use crate::study::{Finish, Folder, Plan, Study, words};
use mobilenas_host::Progress;
use mobilenas_host::Stop;
use mobilenas_host::{errln, outln};

/// Arguments of `study`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    job: Job,
    /// Say what would be done and how long it would take, and end
    #[arg(long)]
    estimate: bool,
}

/// Runs a study.
///
/// # Errors
/// When the input is wrong or the study fails.
pub fn run(args: &Args) -> Result<i32> {
    let mut plan = Plan::prepare(&args.job.config)?;
    let root = args.job.folder("studies", plan.experiment.config.name());
    let (clock, stop) = (WallClock::new(), Stop::on_signals()?);
    tch::set_num_threads(plan.experiment.config.threads as i32);
    let folder = if args.estimate { None } else { Some(Folder::open(&root, &plan.config, args.job.resume)?) };
    let estimate = plan.estimate(&clock).map_err(RunError::from)?;
    let Some(folder) = folder else {
        outln!("{}", plan.summary(estimate))?;
        return Ok(0);
    };
    errln!("{}", plan.summary(estimate));
    let study = Study { plan: &plan, folder, clock: &clock, stop: &stop, progress: Progress::new };
    match study.go()? {
        Finish::Stopped => Ok(stopped(&stop)),
        Finish::Done(study, page) => {
            for line in words::outcome(&study) {
                outln!("{line}")?;
            }
            outln!("report: {}", page.display())?;
            Ok(0)
        }
    }
}
