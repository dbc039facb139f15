//! Rounds of two networks on another device: each run is a fresh process there, the two in random order.

use mobilenas_device::{DeviceError, Network, Session};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};

use super::round::{PairedRound, RoundSource};
use crate::on_device::OnDeviceError;
use crate::process::MeasureError;

/// Runs of each network in a round: a run repeats the network by itself.
pub const BLOCKS: usize = 5;

/// Rounds of two networks on a device.
#[derive(Debug)]
pub struct DevicePairs<'a> {
    session: Session<'a>,
    /// Baseline and candidate.
    networks: [Network; 2],
    seed: u64,
    /// Rounds begun so far, over all runs, so that no two have one order.
    begun: u64,
}

impl<'a> DevicePairs<'a> {
    /// No round has run yet.
    pub fn new(session: Session<'a>, networks: [Network; 2], seed: u64) -> DevicePairs<'a> {
        DevicePairs { session, networks, seed, begun: 0 }
    }

    fn rounds_of(&mut self) -> Result<PairedRound, DeviceError> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed.wrapping_mul(0x9E37_79B9).wrapping_add(self.begun));
        self.begun += 1;
        self.session.settle()?;
        let mut round = PairedRound::default();
        for _ in 0..BLOCKS {
            let (mut ms, first) = ([0.0; 2], usize::from(rng.random_bool(0.5)));
            for side in [first, 1 - first] {
                ms[side] = self.session.time(&mut self.networks[side])?;
            }
            round.baseline_ms.push(ms[0]);
            round.candidate_ms.push(ms[1]);
        }
        let seen = self.session.take_seen();
        round.noisy = match (seen.throttled, seen.disconnects) {
            (0, 0) => None,
            (0, _) => Some("the device went away".to_string()),
            (_, _) => Some("the device was hot or throttled".to_string()),
        };
        Ok(round)
    }
}

impl RoundSource for DevicePairs<'_> {
    fn round(&mut self, _: u64) -> Result<PairedRound, MeasureError> {
        Ok(self.rounds_of().map_err(OnDeviceError::from)?)
    }
}
