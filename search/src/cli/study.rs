//! `mobilenas study CONFIG`

use anyhow::Result;
use mobilenas_host::WallClock;

use super::job::Job;
use super::ranks;
use mobilenas_host::Progress;
use mobilenas_host::Stop;
use mobilenas_host::{errln, outln};
use mobilenas_pipeline::config::Origin;
use mobilenas_pipeline::pipeline::{RunError, follow};
use mobilenas_study::{Folder, Study, StudyOutcome, StudyPlan, words};
use mobilenas_train::collective::Collective;

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
    ranks::among(|collective| {
        let mut plan = StudyPlan::prepare(&args.job.config, Origin::User)?;
        plan.experiments = plan.experiments.among(collective).map_err(RunError::from)?;
        ranks::check_same(collective, plan.experiment())?;
        match collective.leads() {
            true => ranks::lead(collective, || study(args, plan, collective)),
            false => Ok(follow(plan.experiments.all(), collective, (&WallClock::new(), &Stop::within_seconds()?))?),
        }
    })
}

fn study(args: &Args, mut plan: StudyPlan, collective: &dyn Collective) -> Result<i32> {
    let warnings = plan.experiments.warnings().map_err(RunError::from)?;
    let root = args.job.folder("studies", plan.experiment().config.name());
    let (clock, stop) = (WallClock::new(), Stop::within_seconds()?);
    tch::set_num_threads(plan.experiment().config.threads as i32);
    warnings.iter().for_each(|warning| errln!("warning: {warning}"));
    if args.estimate {
        outln!("{}", plan.summary())?;
        let estimate = plan.estimate(&clock).map_err(RunError::from)?;
        outln!("{}", plan.estimate_in_words(estimate))?;
        return Ok(0);
    }
    let folder = Folder::open(&root, &plan.config, args.job.resume)?;
    plan.digest.clone_from(&folder.digest);
    errln!("{}", plan.summary());
    // A study that goes on shows how far it is.
    if !args.job.resume {
        let estimate = plan.estimate(&clock).map_err(RunError::from)?;
        errln!("{}", plan.estimate_in_words(estimate));
    }
    let study = Study { plan: &plan, folder, clock: &clock, stop: &stop, collective, progress: Progress::new };
    match study.go()? {
        StudyOutcome::Stopped => Ok(ranks::stopped(&stop, collective)),
        StudyOutcome::Done(study, page) => {
            for line in words::outcome(&study) {
                outln!("{line}")?;
            }
            outln!("report: {}", page.display())?;
            Ok(0)
        }
    }
}
