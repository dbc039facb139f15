//! Measures one case in fresh processes.

use mobilenas_host::{Clock as _, WallClock, WorkerError};

use super::case::ProfileCase;
use super::process_run::{self, ProcessRun};
use super::record::{ProfileNumbers, ProfileOutcome, ProfileRow};
use super::rules::{ProfileRules, SamplingState};
use crate::host::Host;
use crate::process::{MeasureError, WorkerProgram, Workload};

/// Measures one case. `program` says which program and network; engine, threads and batch are the case's. `each` gets
/// the processes so far after each of them. What fails is a row too.
///
/// # Errors
/// Only when the user asked to stop.
pub fn measure(
    case: &ProfileCase,
    program: &WorkerProgram,
    rules: &ProfileRules,
    host: &Host,
    stop: &dyn Fn() -> bool,
    each: &mut dyn FnMut(&[ProcessRun]),
) -> Result<ProfileRow, MeasureError> {
    let (engine, threads, batch) = (case.engine.clone(), case.threads, case.batch);
    let workload = Workload { engine, threads, batch, ..program.workload.clone() };
    let program = WorkerProgram { workload, ..program.clone() };
    let outcome = match processes(&program, rules, stop, each) {
        Ok(all) => ProfileNumbers::of(rules, case.batch, all).map(Box::new).map(ProfileOutcome::Measured),
        // The signal that stops us reaches the processes too.
        Err(_) if stop() => return Err(MeasureError::Stopped),
        Err(MeasureError::Stopped) => return Err(MeasureError::Stopped),
        Err(MeasureError::Worker(WorkerError::Ended { words, .. })) if !words.is_empty() => {
            Some(ProfileOutcome::Failed { why: words })
        }
        Err(other) => Some(ProfileOutcome::Failed { why: other.to_string() }),
    };
    let outcome = outcome.unwrap_or_else(|| ProfileOutcome::Failed { why: "no call was timed".to_string() });
    Ok(ProfileRow { case: case.clone(), outcome, host: host.clone() })
}

/// Fresh processes until the median over them is known well enough.
fn processes(
    program: &WorkerProgram,
    rules: &ProfileRules,
    stop: &dyn Fn() -> bool,
    each: &mut dyn FnMut(&[ProcessRun]),
) -> Result<Vec<ProcessRun>, MeasureError> {
    let (clock, mut all) = (WallClock::new(), Vec::new());
    loop {
        all.push(process_run::run(program, rules, stop)?);
        each(&all);
        let rounds: Vec<Vec<f64>> = all.iter().map(|p: &ProcessRun| p.samples_ms.clone()).collect();
        if rules.across.look(&rounds, clock.now().as_secs_f64(), rules.seed) != SamplingState::More {
            return Ok(all);
        }
    }
}
