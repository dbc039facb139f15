//! Mirroring left to right.

use rand::{Rng, RngExt as _};

/// Whether to mirror: every other time.
pub fn draw(rng: &mut dyn Rng) -> bool {
    rng.random_bool(0.5)
}
