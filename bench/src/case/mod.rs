//! A network's time and memory on an engine, by itself: what `mobilenas bench run` tells.
//!
//! Each case runs in several fresh processes, one after the other, since each process has a speed of its own. In each:
//!
//! 1. the machine is watched, the idlest cores are chosen, and the process lives on them from its beginning;
//! 2. the network is made ready, and runs once: the cold start;
//! 3. the warm-up: windows of calls until their medians agree ([`rule::Steady`]), or its time is over;
//! 4. windows of samples until the interval of the median is narrow ([`rule::Enough`]), or the time is over; beside each
//!    window what the machine did;
//! 5. memory, when nothing is timed any more.
//!
//! Processes follow until the interval of the median over processes is narrow ([`rule::Across`]). No sample is dropped: those
//! of a noisy window are flagged ([`noise`]), and what does not hold is told as unreliable, with the reasons ([`record`]).

pub mod noise;
pub mod output;
pub mod process;
pub mod record;
pub mod rule;
pub mod settings;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::gate::GateError;
use crate::gate::pairs::Side;
use crate::host::Host;
use mobilenas_host::clock::{Clock as _, WallClock};
use process::Process;
use record::{Measured, Outcome, Record};
use rule::{Next, Rules};

/// What is measured: one row of the table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Case {
    /// The network.
    pub model: String,
    /// The engine.
    pub engine: String,
    /// Intra-op threads.
    pub threads: usize,
    /// Images in a batch.
    pub batch: usize,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}, threads {}, batch {}", self.model, self.engine, self.threads, self.batch)
    }
}

/// Measures one case. `side` says which program and network; the case's engine, threads and batch are put in. `each` is told
/// the processes so far after each of them. What fails is a record too.
///
/// # Errors
/// Only when the user asked to stop.
pub fn measure(
    case: &Case,
    side: &Side,
    rules: &Rules,
    host: &Host,
    stop: &dyn Fn() -> bool,
    each: &mut dyn FnMut(&[Process]),
) -> Result<Record, GateError> {
    let side = Side { engine: case.engine.clone(), threads: case.threads, batch: case.batch, ..side.clone() };
    let outcome = match processes(&side, rules, stop, each) {
        Ok(all) => Measured::of(rules, case.batch, all).map(Box::new).map(Outcome::Measured),
        // The signal that stops us reaches the processes too.
        Err(_) if stop() => return Err(GateError::Stopped),
        Err(GateError::Stopped) => return Err(GateError::Stopped),
        Err(GateError::Worker { message, .. }) => Some(Outcome::Failed { why: message }),
        Err(other) => Some(Outcome::Failed { why: other.to_string() }),
    };
    let outcome = outcome.unwrap_or_else(|| Outcome::Failed { why: "no call was timed".to_string() });
    Ok(Record { case: case.clone(), outcome, host: host.clone() })
}

/// Fresh processes until the median over them is known well enough.
fn processes(
    side: &Side,
    rules: &Rules,
    stop: &dyn Fn() -> bool,
    each: &mut dyn FnMut(&[Process]),
) -> Result<Vec<Process>, GateError> {
    let (clock, mut all) = (WallClock::new(), Vec::new());
    loop {
        all.push(process::run(side, rules, stop)?);
        each(&all);
        let rounds: Vec<Vec<f64>> = all.iter().map(|p: &Process| p.samples_ms.clone()).collect();
        if rules.across.look(&rounds, clock.now().as_secs_f64(), rules.seed) != Next::More {
            return Ok(all);
        }
    }
}
