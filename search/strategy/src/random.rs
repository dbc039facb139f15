//! Random search: every genome is as likely as every other.

use mobilenas_space::{Domain, Genome};
use rand::Rng;

use super::{Observation, Strategy};

/// Draws evenly.
#[derive(Clone, Copy, Debug, Default)]
pub struct Random;

impl Strategy for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn ask(&mut self, domain: &Domain, n: usize, rng: &mut dyn Rng) -> Vec<Genome> {
        (0..n).map(|_| domain.sample(rng)).collect()
    }

    fn tell(&mut self, _done: &[Observation]) {}
}
