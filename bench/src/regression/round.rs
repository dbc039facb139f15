//! Rounds of fresh process pairs, and the choice of those that count.

use serde::{Deserialize, Serialize};

use crate::noise::{drifted, stolen};
use crate::process::MeasureError;
use mobilenas_host::load::Change;

/// The times of one pair of processes, block by block.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PairedRound {
    /// Milliseconds of the baseline's calls.
    pub baseline_ms: Vec<f64>,
    /// Milliseconds of the candidate's calls, one for each of the baseline's.
    pub candidate_ms: Vec<f64>,
    /// Milliseconds of the calibration kernel before the first block.
    pub kernel_before_ms: f64,
    /// And after the last.
    pub kernel_after_ms: f64,
    /// Seconds of wall time of the timed part.
    pub seconds: f64,
    /// The core that both ran on.
    pub core: Option<usize>,
    /// What else the machine did meanwhile.
    pub load: Change,
    /// Involuntary context switches.
    pub preempted: u64,
    /// Why the round is too noisy to count, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noisy: Option<String>,
}

impl PairedRound {
    /// Logarithm of candidate over baseline, block by block.
    pub fn log_ratios(&self) -> Vec<f64> {
        self.candidate_ms.iter().zip(&self.baseline_ms).map(|(c, b)| (c / b).ln()).collect()
    }
}

/// When a round is too noisy to count.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundLimits {
    /// Stolen time over wall time.
    pub steal: f64,
    /// How far the calibration kernel may move within a round, as a fraction.
    pub drift: f64,
    /// Rounds that may be run for each one that is wanted.
    pub tries: usize,
}

impl Default for RoundLimits {
    fn default() -> RoundLimits {
        RoundLimits { steal: 0.005, drift: 0.10, tries: 3 }
    }
}

impl RoundLimits {
    /// Why a round is too noisy; `None` if it counts.
    pub fn reason(&self, round: &PairedRound) -> Option<String> {
        let drift = || drifted(round.kernel_before_ms, round.kernel_after_ms, self.drift);
        stolen(&round.load, round.seconds, self.steal).or_else(drift)
    }
}

/// Where rounds come from: processes, or a test's numbers.
pub trait RoundSource {
    /// Runs the `index`-th round with a fresh pair of processes.
    ///
    /// # Errors
    /// When a process does not start or stops answering.
    fn round(&mut self, index: u64) -> Result<PairedRound, MeasureError>;
}

/// Rounds as they came, noisy ones flagged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PairedRounds {
    /// All of them.
    pub all: Vec<PairedRound>,
}

impl PairedRounds {
    /// Those that count.
    pub fn sound(&self) -> impl Iterator<Item = &PairedRound> {
        self.all.iter().filter(|r| r.noisy.is_none())
    }

    /// How many were too noisy to count.
    pub fn repeated(&self) -> usize {
        self.all.iter().filter(|r| r.noisy.is_some()).count()
    }

    /// Runs rounds until `wanted` count; whether they do, before `most` were run in all.
    ///
    /// # Errors
    /// Those of the source.
    pub fn fill(
        &mut self,
        source: &mut dyn RoundSource,
        limits: &RoundLimits,
        wanted: usize,
        most: usize,
    ) -> Result<bool, MeasureError> {
        while self.sound().count() < wanted {
            if self.all.len() >= most {
                return Ok(false);
            }
            let mut round = source.round(self.all.len() as u64)?;
            round.noisy = round.noisy.take().or_else(|| limits.reason(&round));
            self.all.push(round);
        }
        Ok(true)
    }
}
