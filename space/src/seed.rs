//! Random numbers: never global, always from the run's seed, a purpose and a position.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

/// What random numbers are for. Each purpose has its own stream, so that none depends on how much another drew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// Initial weights.
    Weights = 1,
    /// The order of images in an epoch.
    Order = 2,
    /// Augmentation of one image.
    Augment = 3,
    /// Subnets of a training step.
    Subnets = 4,
    /// Genomes that a strategy proposes.
    Ask = 5,
    /// The split of the training set.
    Split = 6,
    /// The images on which batch norms are recalibrated.
    Recalibrate = 7,
    /// Dropout within a training step.
    Dropout = 8,
    /// Image resolutions of the steps of an epoch.
    Scale = 9,
    /// Mixup and CutMix of a batch.
    Mix = 10,
    /// The image that replaces a damaged one.
    Replace = 11,
    /// The scenes of a composed dataset.
    Scenes = 12,
    /// The further spaces of a search, each with a seed of its own.
    Space = 13,
    /// The anchors and regions of an image that a detector learns from.
    Regions = 14,
    /// The order in which blocks and networks are timed.
    Timing = 40,
    /// The networks that a study trains stand-alone.
    Study = 42,
}

/// The generator of (run seed, purpose, step, slot).
pub fn rng(seed: u64, purpose: Purpose, step: u64, slot: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (bytes, word) in key.chunks_exact_mut(8).zip([seed, purpose as u64, step, slot]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// A seed for a generator that takes a number.
pub fn number(seed: u64, purpose: Purpose, step: u64) -> u64 {
    use rand::Rng as _;
    rng(seed, purpose, step, 0).next_u64()
}
