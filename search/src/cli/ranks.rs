//! Commands that several processes may run together: started by torchrun, srun, mpirun, or by hand.

use anyhow::Result;
use mobilenas_host::Stop;
use mobilenas_pipeline::experiment::Experiment;
use mobilenas_pipeline::pipeline::end;
use mobilenas_train::collective::{Collective, Gloo, Local, Ranks};

use super::{Input, job, message};

/// Does some work together with the processes that a launcher has started beside this one; gives the exit code. Without a
/// launcher this process is alone.
///
/// # Errors
/// Those of the work, and when the processes do not find each other.
pub fn among(work: impl FnOnce(&dyn Collective) -> Result<i32>) -> Result<i32> {
    let ranks = Ranks::from_environment().map_err(|e| Input(e.to_string()))?;
    let Some(ranks) = ranks.filter(|r| r.ranks > 1) else { return work(&Local) };
    let gloo = Gloo::join(&ranks)?;
    match work(&gloo) {
        Ok(code) => {
            gloo.leave()?;
            Ok(code)
        }
        Err(e) => {
            gloo.fail(&message(&e));
            Err(e.context(format!("rank {}", ranks.rank)))
        }
    }
}

/// Exit code of a process that stopped with the others, as after SIGTERM where another one was asked to; the first says how
/// to go on.
pub fn stopped(stop: &Stop, collective: &dyn Collective) -> i32 {
    const TERMINATED: i32 = 143;
    let code = if stop.asked() { stop.exit_code() } else { TERMINATED };
    if collective.leads() {
        job::stopped(stop);
    }
    code
}

/// Runs what the first process leads, then ends the others with its exit code.
///
/// # Errors
/// Those of the work.
pub fn lead(collective: &dyn Collective, work: impl FnOnce() -> Result<i32>) -> Result<i32> {
    let code = work()?;
    end(collective, code)?;
    Ok(code)
}

/// Checks that all processes were started with one program and config, and see the same images.
///
/// # Errors
/// What differs, on those where it does.
pub fn check_same(collective: &dyn Collective, p: &Experiment) -> Result<()> {
    let [trained, tested] = [p.split.train.len(), p.test_split.indices().len()];
    collective.check_same("the program's version", env!("CARGO_PKG_VERSION"))?;
    collective.check_same("the digest of the config", &p.digest)?;
    collective.check_same("the images", &format!("{trained} to train, {tested} to test"))?;
    Ok(())
}
