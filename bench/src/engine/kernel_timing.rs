//! Chooses the kernel of each step by timing, and remembers the choice as long as the process lives.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use mobilenas_torch::{KernelSelector, NetError};

use mobilenas_host::clock::{Clock, WallClock};

/// Choices by threads and key. Networks of a search share most of their shapes, so most choices are made once.
static TABLE: LazyLock<Mutex<HashMap<(usize, String), String>>> = LazyLock::new(Mutex::default);

/// Rounds, in each of which every kernel still in question runs once.
const ROUNDS: usize = 9;

/// From this round on, kernels slower than the best by [`FACTOR`] are dropped.
const FROM: usize = 3;

/// See [`FROM`].
const FACTOR: f64 = 1.3;

/// Chooses by the clock.
#[derive(Debug)]
pub struct TimedSelector {
    threads: usize,
}

impl TimedSelector {
    /// For steps that run with so many threads.
    pub fn new(threads: usize) -> TimedSelector {
        TimedSelector { threads }
    }
}

impl KernelSelector for TimedSelector {
    fn cached(&mut self, key: &str) -> Option<String> {
        let table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
        table.get(&(self.threads, key.to_string())).cloned()
    }

    fn fastest(
        &mut self,
        key: &str,
        names: &[&str],
        run: &mut dyn FnMut(usize) -> Result<(), NetError>,
    ) -> Result<usize, NetError> {
        let best = fastest(&WallClock::default(), names.len(), run)?;
        let mut table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
        table.insert((self.threads, key.to_string()), names[best].to_string());
        Ok(best)
    }
}

/// The position of the work whose fastest run is the fastest: what disturbs a run only makes it slower.
fn fastest<E>(clock: &dyn Clock, n: usize, run: &mut dyn FnMut(usize) -> Result<(), E>) -> Result<usize, E> {
    let mut best = vec![Duration::MAX; n];
    for round in 0..ROUNDS {
        let first = best.iter().min().copied().unwrap_or_default();
        for (i, best) in best.iter_mut().enumerate() {
            if round >= FROM && best.as_secs_f64() > FACTOR * first.as_secs_f64() {
                continue;
            }
            let from = clock.now();
            run(i)?;
            *best = (*best).min(clock.now().saturating_sub(from));
        }
    }
    Ok((0..n).min_by_key(|i| best[*i]).unwrap_or(0))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use mobilenas_host::FakeClock;

    use super::*;

    #[test]
    fn the_fastest_wins_although_it_is_disturbed_and_the_slow_are_given_up() {
        let (clock, mut runs) = (FakeClock::default(), [0u64; 3]);
        let best = fastest(&clock, 3, &mut |i| {
            runs[i] += 1;
            let disturbed = if i == 1 && runs[i] % 2 == 1 { 500 } else { 0 };
            clock.advance(Duration::from_micros([110, 100, 900][i] + disturbed));
            Ok::<(), ()>(())
        });
        assert_eq!(best, Ok(1));
        assert_eq!(runs, [9, 9, 3]);
    }

    #[test]
    fn a_choice_is_remembered_for_its_number_of_threads() {
        let mut one = TimedSelector::new(1);
        assert_eq!(one.cached("a step of this test"), None);
        let mut calls = 0;
        let mut run = |_| {
            calls += 1;
            Ok(())
        };
        let best = one.fastest("a step of this test", &["x", "y"], &mut run).unwrap();
        assert!(calls >= 2 * FROM);
        assert_eq!(TimedSelector::new(1).cached("a step of this test").as_deref(), Some(["x", "y"][best]));
        assert_eq!(TimedSelector::new(2).cached("a step of this test"), None);
    }
}
