//! Where time comes from.

use std::time::{Duration, Instant};

/// A clock that never goes back.
pub trait Clock {
    /// Time since the clock began.
    fn now(&self) -> Duration;
}

/// The machine's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct WallClock(Instant);

impl WallClock {
    /// A clock that begins now.
    pub fn new() -> WallClock {
        WallClock(Instant::now())
    }
}

impl Default for WallClock {
    fn default() -> WallClock {
        WallClock::new()
    }
}

impl Clock for WallClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Times one piece of work, in ms.
///
/// # Errors
/// That of the work.
pub fn time_ms<E>(clock: &dyn Clock, work: impl FnOnce() -> Result<(), E>) -> Result<f64, E> {
    let from = clock.now();
    work()?;
    Ok(clock.now().saturating_sub(from).as_secs_f64() * 1e3)
}

/// Seconds since 1970, for the one time stamp of a run.
pub fn unix_now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// A clock that stands still until it is told to go on: for tests of rules about time.
#[derive(Debug, Default)]
pub struct FakeClock(std::cell::Cell<Duration>);

impl FakeClock {
    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.0.set(self.0.get() + by);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Duration {
        self.0.get()
    }
}
