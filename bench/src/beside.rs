//! A block of candidates beside a reference, in several fresh processes: how a search measures.
//!
//! In each process the reference and all candidates are made ready, and then run in rounds of random order. What counts is the
//! ratio to the reference's run of the same round: the process's own speed and the host's of that moment fall out of it.

use std::time::Duration;

use mobilenas_space::SpaceConfig;

use crate::gate::GateError;
use crate::gate::pairs::{Side, Worker};
use crate::gate::worker::{Block, Job};
use crate::rounds::Series;
use mobilenas_host::load;

/// How a block is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beside {
    /// Fresh processes.
    pub processes: usize,
    /// Rounds in each.
    pub rounds: usize,
    /// What the orders derive from.
    pub seed: u64,
}

/// How long the cores are watched before some are chosen.
const WATCH: Duration = Duration::from_millis(150);

impl Beside {
    /// Times candidates beside the network of `side`, on its engine: for each a series over all processes.
    ///
    /// # Errors
    /// When a process fails, which it does if one of the candidates cannot be made, or the user asked to stop.
    pub fn measure(
        &self,
        side: &Side,
        designs: &[SpaceConfig],
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<Series>, GateError> {
        let mut all = vec![Series::default(); designs.len()];
        for k in 0..self.processes.max(1) {
            if stop() {
                return Err(GateError::Stopped);
            }
            let (cores, _) = load::idlest_cores(WATCH, side.threads);
            let mut worker = Worker::start(&Side { cores, ..side.clone() })?;
            worker.ready()?;
            let seed = self.seed.wrapping_mul(0x9E37_79B9).wrapping_add(k as u64);
            let job = Job { designs: designs.to_vec(), rounds: self.rounds, seed };
            // A job is names and numbers: making text of it cannot fail.
            let job = serde_json::to_string(&job).unwrap_or_default();
            let block: Block = worker.ask_for(&format!("block {job}"))?;
            all.iter_mut().zip(&block.series).for_each(|(all, own)| all.join(own));
        }
        Ok(all)
    }
}
