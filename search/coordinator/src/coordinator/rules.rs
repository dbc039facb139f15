//! How patient a coordinator is.

use std::time::Duration;

/// How patient a coordinator is with jobs and workers.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// How often a job that was answered with a failure is tried again.
    pub retries: u32,
    /// Workers that may die of a job, before it is set aside.
    pub deaths: u32,
    /// How often a job is given to a worker at most, for whatever reason.
    pub attempts: u32,
    /// A worker is slow after so many times the median time of a job.
    pub slow: f64,
    /// No worker is slow before that.
    pub slow_at_least: Duration,
    /// When one is slow before there is a median; never if left out.
    pub slow_at_first: Option<Duration>,
    /// A worker at a job of which nothing is heard for so long is lost.
    pub silence: Duration,
    /// A worker that has not said hello for so long is lost; never if left out, because it may wait in a queue.
    pub hello: Option<Duration>,
    /// The pause before a seat is filled again after its second failure in a row; doubled with each further one.
    pub pause: Duration,
    /// The longest pause.
    pub pause_at_most: Duration,
    /// Failed starts end everything after so long, if no worker ever said hello.
    pub give_up: Duration,
    /// Workers started within a second, at most.
    pub starts_per_second: u32,
    /// Jobs that workers may be ahead of the first one without an outcome, for each worker.
    pub ahead: u64,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            retries: 1,
            deaths: 3,
            attempts: 20,
            slow: 10.0,
            slow_at_least: Duration::from_secs(120),
            slow_at_first: Some(Duration::from_secs(3600)),
            silence: Duration::from_secs(60),
            hello: None,
            pause: Duration::from_secs(1),
            pause_at_most: Duration::from_secs(60),
            give_up: Duration::from_secs(50),
            starts_per_second: 50,
            ahead: 4,
        }
    }
}

impl Rules {
    /// The pause after so many failures of a seat in a row: none after the first, which may have been bad luck.
    pub(super) fn pause_after(&self, failures: u32) -> Duration {
        match failures {
            0 | 1 => Duration::ZERO,
            n => self.pause.saturating_mul(2u32.saturating_pow((n - 2).min(20))).min(self.pause_at_most),
        }
    }

    /// After how long a worker at a job is slow, if ever.
    pub(super) fn deadline(&self, median: Option<Duration>) -> Option<Duration> {
        match median {
            Some(median) => Some(median.mul_f64(self.slow).max(self.slow_at_least)),
            None => self.slow_at_first,
        }
    }
}

/// How long the last jobs took.
#[derive(Debug, Default)]
pub(super) struct Times {
    last: Vec<Duration>,
    at: usize,
    median: Option<Duration>,
}

/// Jobs that a median is taken of.
const KEPT: usize = 101;
/// Jobs that a median needs.
const NEEDED: usize = 5;

impl Times {
    pub(super) fn add(&mut self, took: Duration) {
        if self.last.len() < KEPT {
            self.last.push(took);
        } else {
            self.last[self.at] = took;
        }
        self.at = (self.at + 1) % KEPT;
        // A deadline need not follow every job.
        if self.last.len() < 20 || self.at.is_multiple_of(20) {
            self.median = self.compute();
        }
    }

    fn compute(&self) -> Option<Duration> {
        let mut sorted = self.last.clone();
        sorted.sort_unstable();
        (sorted.len() >= NEEDED).then(|| sorted[sorted.len() / 2])
    }

    pub(super) fn median(&self) -> Option<Duration> {
        self.median
    }
}
