//! Candidates interleaved with a reference network in several fresh processes: how a search measures latency.
//!
//! In each process the reference and all candidates are prepared, and then run in rounds of random order. What counts
//! is the ratio to the reference's run of the same round: the speed of the process, and of the host at that moment,
//! cancel.

use std::time::Duration;

use mobilenas_host::load;
use mobilenas_space::SpaceConfig;

use super::{Client, HeadDesign, InterleavedJob, MeasureError, WorkerProgram};
use crate::engine::enough_cores;
use crate::interleaved::Series;

/// How candidates are measured in fresh processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterleavedProcesses {
    /// Fresh processes.
    pub processes: usize,
    /// Rounds in each.
    pub rounds: usize,
    /// What the orders derive from.
    pub seed: u64,
}

/// How long the cores are watched before some are chosen.
const WATCH: Duration = Duration::from_millis(150);

impl InterleavedProcesses {
    /// Times candidates, each below the head if there is one, interleaved with the network of `reference`, on its engine:
    /// for each a series over all processes.
    ///
    /// # Errors
    /// When a process fails, as when one of the candidates cannot be prepared, or the user asked to stop.
    pub fn measure(
        &self,
        reference: &WorkerProgram,
        (designs, head): (&[SpaceConfig], Option<&HeadDesign>),
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<Series>, MeasureError> {
        enough_cores(reference.workload.threads)?;
        let mut all = vec![Series::default(); designs.len()];
        for k in 0..self.processes.max(1) {
            if stop() {
                return Err(MeasureError::Stopped);
            }
            let (cores, _) = load::idlest_cores(WATCH, reference.workload.threads);
            let mut process = Client::start(&reference.on(cores))?;
            process.ready()?;
            let seed = self.seed.wrapping_mul(0x9E37_79B9).wrapping_add(k as u64);
            let (designs, head, rounds) = (designs.to_vec(), head.cloned(), self.rounds);
            let times = process.interleave(&InterleavedJob { designs, head, rounds, seed })?;
            all.iter_mut().zip(&times.series).for_each(|(all, own)| all.join(own));
        }
        Ok(all)
    }
}
