//! Repeated timing: a warm-up, then samples until their interquartile range is narrow or a limit is met.

use std::fmt;
use std::time::Duration;

use crate::stats::{median, quantile};
use mobilenas_host::clock::Clock;

/// When warm-up and sampling end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Protocol {
    /// Time that is spent before the first sample.
    pub warmup: Duration,
    /// At least so many samples.
    pub min_samples: usize,
    /// At most so many.
    pub max_samples: usize,
    /// No further sample after this time, warm-up not counted, once `min_samples` are there.
    pub max_time: Duration,
}

/// Sampling stops early when the quartiles lie this close together, relative to the median.
const NARROW: f64 = 0.03;

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "warm-up {} ms, then {} to {} samples in {} s, until the quartiles are within {} % of the median",
            self.warmup.as_millis(),
            self.min_samples,
            self.max_samples,
            self.max_time.as_secs_f64(),
            NARROW * 100.0
        )
    }
}

/// Every sample in ms, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples(pub Vec<f64>);

impl Samples {
    /// Median in milliseconds.
    pub fn median(&self) -> f64 {
        median(&self.0).unwrap_or(f64::NAN)
    }

    /// A quantile in milliseconds.
    pub fn quantile(&self, q: f64) -> f64 {
        quantile(&self.0, q).unwrap_or(f64::NAN)
    }
}

/// Times `work` by the protocol.
///
/// # Errors
/// The first error of `work`.
pub fn measure<E>(
    clock: &dyn Clock,
    protocol: &Protocol,
    mut work: impl FnMut() -> Result<(), E>,
) -> Result<Samples, E> {
    let begin = clock.now();
    loop {
        work()?;
        if clock.now().saturating_sub(begin) >= protocol.warmup {
            break;
        }
    }
    let (begin, mut samples) = (clock.now(), Vec::new());
    loop {
        let from = clock.now();
        work()?;
        let to = clock.now();
        samples.push(to.saturating_sub(from).as_secs_f64() * 1e3);
        let enough = samples.len() >= protocol.min_samples.max(1);
        let over = samples.len() >= protocol.max_samples || to.saturating_sub(begin) >= protocol.max_time;
        if enough && (over || narrow(&samples)) {
            return Ok(Samples(samples));
        }
    }
}

fn narrow(samples: &[f64]) -> bool {
    match (quantile(samples, 0.25), median(samples), quantile(samples, 0.75)) {
        (Some(low), Some(middle), Some(high)) => high - low <= NARROW * middle,
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mobilenas_host::FakeClock;

    use super::*;

    /// A clock that the work itself moves.
    fn run(times: &[u64], protocol: Protocol) -> (Samples, usize) {
        let (clock, mut calls) = (FakeClock::default(), 0);
        let work = || {
            clock.advance(Duration::from_micros(times[calls.min(times.len() - 1)]));
            calls += 1;
            Ok::<(), ()>(())
        };
        let samples = measure(&clock, &protocol, work).unwrap();
        (samples, calls)
    }

    fn protocol() -> Protocol {
        let ms = Duration::from_millis;
        Protocol { warmup: ms(10), min_samples: 5, max_samples: 20, max_time: ms(1000) }
    }

    #[test]
    fn steady_work_stops_at_the_fewest_samples() {
        let (samples, calls) = run(&[2000], protocol());
        assert_eq!(samples.0, vec![2.0; 5]);
        assert_eq!(calls, 5 + 5, "ten milliseconds of warm-up are five calls of two");
    }

    #[test]
    fn the_warm_up_is_not_a_sample() {
        let (samples, _) = run(&[10_000, 1000], protocol());
        assert_eq!(samples.median(), 1.0);
    }

    #[test]
    fn restless_work_goes_on_to_the_limit_of_samples() {
        let times: Vec<u64> = (0..100).map(|i| 1000 + 900 * (i % 2)).collect();
        assert_eq!(run(&times, protocol()).0.0.len(), 20);
    }

    #[test]
    fn slow_work_stops_at_the_limit_of_time_with_the_fewest_samples() {
        let times: Vec<u64> = (0..100).map(|i| 300_000 + 200_000 * (i % 2)).collect();
        assert_eq!(run(&times, protocol()).0.0.len(), 5);
    }
}
