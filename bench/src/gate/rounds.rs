//! Rounds of fresh process pairs, and the choice of those that count.

use serde::{Deserialize, Serialize};

use super::GateError;
use mobilenas_host::load::Change;

/// What one pair of processes told, block by block.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Milliseconds of the baseline's calls.
    pub baseline_ms: Vec<f64>,
    /// Milliseconds of the candidate's calls, block by block beside the baseline's.
    pub candidate_ms: Vec<f64>,
    /// Milliseconds of the calibration kernel before the first block.
    pub kernel_before_ms: f64,
    /// And after the last.
    pub kernel_after_ms: f64,
    /// WallClock seconds of the timed part.
    pub seconds: f64,
    /// The core that both ran on.
    pub core: Option<usize>,
    /// What else the machine did meanwhile.
    pub load: Change,
    /// Calls that the kernel interrupted to let another process run.
    pub preempted: u64,
    /// Why the round does not count, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noisy: Option<String>,
}

impl Round {
    /// Logarithm of candidate over baseline, block by block.
    pub fn log_ratios(&self) -> Vec<f64> {
        self.candidate_ms.iter().zip(&self.baseline_ms).map(|(c, b)| (c / b).ln()).collect()
    }
}

/// When a round is too noisy to count.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quarantine {
    /// Stolen time over wall time.
    pub steal: f64,
    /// How far the calibration kernel may move within a round, as a fraction.
    pub drift: f64,
    /// Rounds that may be run for each one that is wanted.
    pub tries: usize,
}

impl Default for Quarantine {
    fn default() -> Quarantine {
        Quarantine { steal: 0.005, drift: 0.10, tries: 3 }
    }
}

/// One tick of the kernel's accounts in milliseconds; stolen time of a single tick says nothing.
const TICK_MS: f64 = 10.0;

impl Quarantine {
    /// Why a round is too noisy; `None` if it counts.
    pub fn reason(&self, round: &Round) -> Option<String> {
        let steal = round.load.steal_ms.unwrap_or(0.0);
        let allowed = (self.steal * round.seconds * 1e3).max(TICK_MS);
        if steal > allowed {
            let share = steal / (round.seconds * 1e3) * 100.0;
            return Some(format!("the host took {share:.1} % of the time away"));
        }
        let moved = round.kernel_after_ms / round.kernel_before_ms - 1.0;
        if moved.abs() > self.drift {
            return Some(format!("the calibration kernel moved by {:+.0} %", moved * 100.0));
        }
        None
    }
}

/// Where rounds come from: processes, or a test's numbers.
pub trait Source {
    /// Runs the `index`-th round with a fresh pair of processes.
    ///
    /// # Errors
    /// When a process does not start or stops answering.
    fn round(&mut self, index: u64) -> Result<Round, GateError>;
}

/// Rounds as they came, noisy ones flagged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rounds {
    /// All of them.
    pub all: Vec<Round>,
}

impl Rounds {
    /// Those that count.
    pub fn sound(&self) -> impl Iterator<Item = &Round> {
        self.all.iter().filter(|r| r.noisy.is_none())
    }

    /// How many were too noisy.
    pub fn repeated(&self) -> usize {
        self.all.iter().filter(|r| r.noisy.is_some()).count()
    }

    /// Runs rounds until `wanted` count; whether they do, before `most` were run in all.
    ///
    /// # Errors
    /// Those of the source.
    pub fn fill(
        &mut self,
        source: &mut dyn Source,
        quarantine: &Quarantine,
        wanted: usize,
        most: usize,
    ) -> Result<bool, GateError> {
        while self.sound().count() < wanted {
            if self.all.len() >= most {
                return Ok(false);
            }
            let mut round = source.round(self.all.len() as u64)?;
            round.noisy = quarantine.reason(&round);
            self.all.push(round);
        }
        Ok(true)
    }
}
