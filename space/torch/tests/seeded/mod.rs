//! Random numbers of libtorch in tests that run side by side.

use std::sync::{Mutex, PoisonError};

/// What `draw` makes of libtorch's generator with this seed. The generator serves all threads.
pub fn seeded<R>(seed: i64, draw: impl FnOnce() -> R) -> R {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    tch::manual_seed(seed);
    draw()
}
