//! Randomness: never global, always from the run's seed, what it is for, and a position.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

/// What random numbers are for. Each purpose has a stream of its own, so that none depends on how much another drew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// First weights.
    Weights = 1,
    /// Order of the images of an epoch.
    Order = 2,
    /// Augmentation of one image.
    Augment = 3,
    /// Subnets of a training step.
    Subnets = 4,
    /// Genomes a strategy asks for.
    Ask = 5,
    /// Split of the training set.
    Split = 6,
    /// Images that recalibrate batch norms.
    Recalibrate = 7,
    /// Dropout within a training step.
    Dropout = 8,
    /// Sizes of an epoch's steps.
    Scale = 9,
    /// How a batch is mixed.
    Mix = 10,
    /// What stands in for a damaged image.
    Replace = 11,
    /// Order in which blocks and networks are timed.
    Timing = 40,
    /// Networks that a study trains alone.
    Study = 42,
}

/// A generator for one purpose at one position: (run seed, purpose, step, slot).
pub fn rng(seed: u64, purpose: Purpose, step: u64, slot: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (bytes, word) in key.chunks_exact_mut(8).zip([seed, purpose as u64, step, slot]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// A seed for something that takes a number.
pub fn number(seed: u64, purpose: Purpose, step: u64) -> u64 {
    use rand::Rng as _;
    rng(seed, purpose, step, 0).next_u64()
}
