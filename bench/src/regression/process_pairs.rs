//! Rounds of fresh pairs of measuring processes: the baseline's and the candidate's, side by side on one core.

use std::time::Duration;

use mobilenas_host::load::{self, Load};
use mobilenas_host::{Clock as _, WallClock};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};

use super::round::{PairedRound, RoundSource};
use crate::process::{CallTime, Client, MeasureError, WorkerProgram};

/// How pairs are run.
#[derive(Clone, Debug, PartialEq)]
pub struct PairSetup {
    /// Blocks of one call each in a round, at most.
    pub blocks: usize,
    /// Calls of each side before the first block.
    pub warmup: usize,
    /// Seconds that a round's blocks may take; slow networks get fewer blocks, but never fewer than 5.
    pub round_seconds: f64,
    /// The core that both run on; the idlest if left out.
    pub core: Option<usize>,
    /// Every random choice derives from it.
    pub seed: u64,
}

impl Default for PairSetup {
    fn default() -> PairSetup {
        PairSetup { blocks: 60, warmup: 5, round_seconds: 3.0, core: None, seed: 1 }
    }
}

/// Fewest blocks of a round.
const FEWEST: usize = 5;
/// How long the cores are watched before one is chosen.
const WATCH: Duration = Duration::from_millis(150);

/// Rounds of fresh pairs of processes.
pub struct ProcessPairs<'a> {
    /// The program compared with.
    pub baseline: WorkerProgram,
    /// The program under test.
    pub candidate: WorkerProgram,
    /// How.
    pub setup: PairSetup,
    /// Whether the user asked to stop.
    pub stop: &'a dyn Fn() -> bool,
    /// Pairs begun so far, over all runs, so that no two rounds have one order.
    pub begun: u64,
    /// Of each of the candidate's calls, the added work over the rest.
    pub added: Vec<f64>,
}

impl<'a> ProcessPairs<'a> {
    /// No pair has run yet.
    pub fn new(
        baseline: WorkerProgram,
        candidate: WorkerProgram,
        setup: PairSetup,
        stop: &'a dyn Fn() -> bool,
    ) -> ProcessPairs<'a> {
        ProcessPairs { baseline, candidate, setup, stop, begun: 0, added: Vec::new() }
    }

    /// Both processes, ready, on one core; started in random order, on all cores.
    fn start(&self, rng: &mut ChaCha8Rng) -> Result<([Client; 2], Option<usize>), MeasureError> {
        let mut workers = if rng.random_bool(0.5) {
            let first = Client::start(&self.baseline)?;
            [first, Client::start(&self.candidate)?]
        } else {
            let first = Client::start(&self.candidate)?;
            [Client::start(&self.baseline)?, first]
        };
        for worker in &mut workers {
            worker.ready()?;
        }
        let core = self.setup.core.or_else(|| load::idlest_core(WATCH));
        if let Some(core) = core {
            for worker in &mut workers {
                worker.pin(core)?;
            }
        }
        Ok((workers, core))
    }

    /// One call of each side in random order, baseline's answer first.
    fn block(workers: &mut [Client; 2], rng: &mut ChaCha8Rng) -> Result<[CallTime; 2], MeasureError> {
        let mut answers = [CallTime::default(); 2];
        let first = usize::from(rng.random_bool(0.5));
        for side in [first, 1 - first] {
            answers[side] = workers[side].call()?;
        }
        Ok(answers)
    }

    fn kernel(workers: &mut [Client; 2]) -> Result<f64, MeasureError> {
        Ok((workers[0].kernel_ms()? * workers[1].kernel_ms()?).sqrt())
    }
}

impl RoundSource for ProcessPairs<'_> {
    fn round(&mut self, _: u64) -> Result<PairedRound, MeasureError> {
        if (self.stop)() {
            return Err(MeasureError::Stopped);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.setup.seed.wrapping_mul(0x9E37_79B9).wrapping_add(self.begun));
        self.begun += 1;
        let (mut workers, core) = self.start(&mut rng)?;
        let mut last = 0.0;
        for _ in 0..self.setup.warmup.max(1) {
            last = Self::block(&mut workers, &mut rng)?.iter().map(|a| a.ms).sum();
        }
        let fit = (self.setup.round_seconds * 1e3 / f64::max(last, 1e-3)) as usize;
        let blocks = fit.clamp(FEWEST, self.setup.blocks.max(FEWEST));
        let (clock, before) = (WallClock::new(), Load::read());
        let mut round = PairedRound { core, kernel_before_ms: Self::kernel(&mut workers)?, ..PairedRound::default() };
        for _ in 0..blocks {
            let [b, c] = Self::block(&mut workers, &mut rng)?;
            round.baseline_ms.push(b.ms);
            round.candidate_ms.push(c.ms);
            round.preempted += b.preempted + c.preempted;
            self.added.push(c.extra_ms / (c.ms - c.extra_ms));
        }
        round.kernel_after_ms = Self::kernel(&mut workers)?;
        let wall = clock.now();
        (round.seconds, round.load) = (wall.as_secs_f64(), Load::read().since(&before, wall));
        Ok(round)
    }
}
