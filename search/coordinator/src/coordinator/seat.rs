//! A worker's place: filled, lost and filled again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Hello;

/// A worker: its seat, and how often that was filled before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId {
    /// The seat.
    pub seat: u32,
    /// Which of its workers.
    pub generation: u32,
}

#[derive(Debug)]
pub(super) enum State {
    /// Nobody.
    Empty,
    /// Somebody who has not said hello.
    Starting { since: Duration },
    /// Somebody without a job.
    Idle,
    /// Somebody at a job.
    Busy { job: u64, since: Duration },
    /// Somebody who is to end, and the job that is lost with it unless it is answered after all.
    Ending { job: Option<u64>, why: String, since: Duration },
}

#[derive(Debug)]
pub(super) struct Seat {
    pub(super) state: State,
    pub(super) generation: u32,
    /// Workers in a row that answered nothing.
    pub(super) failures: u32,
    /// Not filled before.
    pub(super) not_before: Duration,
    /// When something was heard last.
    pub(super) heard: Duration,
    /// Jobs answered by all its workers.
    pub(super) answered: u64,
    /// Who sits there.
    pub(super) hello: Option<Hello>,
    /// What ended its last worker.
    pub(super) trouble: String,
}

impl Seat {
    pub(super) fn new() -> Seat {
        Seat {
            state: State::Empty,
            generation: 0,
            failures: 0,
            not_before: Duration::ZERO,
            heard: Duration::ZERO,
            answered: 0,
            hello: None,
            trouble: String::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self.state, State::Empty)
    }
}

/// A seat, for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeatStatus {
    /// What it does.
    pub state: SeatState,
    /// Its machine, once it has said hello.
    pub host: String,
    /// Seconds that it has been at its job.
    pub seconds: f64,
    /// Jobs answered.
    pub answered: u64,
    /// Workers in a row that answered nothing.
    pub failures: u32,
    /// What ended its last worker.
    pub trouble: String,
}

/// What a seat's worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum SeatState {
    Empty,
    Starting,
    Idle,
    Busy,
    Ending,
}

impl Seat {
    pub(super) fn status(&self, now: Duration) -> SeatStatus {
        let (state, since) = match &self.state {
            State::Empty => (SeatState::Empty, now),
            State::Starting { since } => (SeatState::Starting, *since),
            State::Idle => (SeatState::Idle, now),
            State::Busy { since, .. } => (SeatState::Busy, *since),
            State::Ending { since, .. } => (SeatState::Ending, *since),
        };
        SeatStatus {
            state,
            host: self.hello.as_ref().map(|h| h.host.clone()).unwrap_or_default(),
            seconds: now.saturating_sub(since).as_secs_f64(),
            answered: self.answered,
            failures: self.failures,
            trouble: self.trouble.clone(),
        }
    }
}
