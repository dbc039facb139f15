//! The state machine: what happened goes in, what to do comes out, and time is passed in.

mod jobs;
mod rules;
mod seat;
mod seating;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use crate::Hello;
use jobs::Jobs;
use rules::Times;
use seat::{Seat, State};

pub use jobs::{Death, Failure};
pub use rules::Rules;
pub use seat::{SeatState, SeatStatus, WorkerId};

/// What is heard of a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard<A> {
    /// It is there, with the weights it was told to take.
    Hello(Hello),
    /// It is still at its job.
    Beat,
    /// It has done its job.
    Answer {
        /// Which.
        job: u64,
        /// What came of it, or why nothing.
        result: Result<A, String>,
    },
    /// It was asked by its machine to end, and has not done its job.
    Back {
        /// Which.
        job: u64,
    },
    /// It is gone.
    Ended(Death),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action<A> {
    /// Start a worker.
    Start(WorkerId),
    /// Give it a job.
    Give {
        /// Whom.
        to: WorkerId,
        /// The job's number.
        job: u64,
        /// The how-manieth time it is given to somebody.
        attempt: u32,
    },
    /// Let it end: it gets no more jobs.
    Dismiss(WorkerId),
    /// End it, whatever it does.
    Kill(WorkerId),
    /// A job is over. They come in the order of the jobs.
    Done {
        /// Its number.
        job: u64,
        /// Its answer.
        outcome: Result<A, Failure>,
    },
    /// Tell the user.
    Say(String),
    /// No worker ever came: end with this message.
    GiveUp(String),
}

/// A gap between two events that nobody's worker is to blame for: this process stood still.
const STOOD_STILL: Duration = Duration::from_secs(10);
/// How long one that was killed may take to end.
const ENDING: Duration = Duration::from_secs(20);
/// Failed starts of which the user is told one by one.
const TOLD: u32 = 3;

/// Jobs, seats, and what is to be done.
#[derive(Debug)]
pub struct Coordinator<A> {
    rules: Rules,
    expected: Hello,
    /// Whether all workers have to be of one kind of host: that of the first, if none is expected.
    one_kind: bool,
    jobs: Jobs<A>,
    seats: Vec<Seat>,
    /// Seats that may be filled.
    target: usize,
    /// Seats with somebody who has no job.
    idle: Vec<u32>,
    /// Those with a job.
    busy: usize,
    times: Times,
    /// Whether anybody ever said hello.
    greeted: bool,
    /// When the first was started.
    began: Option<Duration>,
    failed_starts: u32,
    /// Whether no more jobs are given out.
    halted: bool,
    now: Duration,
    /// How much of the clock's time this process stood still.
    still: Duration,
    /// Workers that were started in this second.
    started: (u64, u32),
    actions: VecDeque<Action<A>>,
}

impl<A> Coordinator<A> {
    /// From now on all workers have to be of one kind of host: this one, or that of the first that comes.
    pub fn one_kind(&mut self, kind: Option<String>) {
        self.one_kind = true;
        self.expected.kind = kind.unwrap_or_default();
    }

    /// The kind of host that all workers are of; empty where any will do, or none has come.
    pub fn kind(&self) -> &str {
        &self.expected.kind
    }

    /// Seats for workers that have to say `expected`.
    pub fn new(rules: Rules, expected: Hello, seats: usize) -> Coordinator<A> {
        Coordinator {
            rules,
            expected,
            one_kind: false,
            jobs: Jobs::new(),
            seats: (0..seats).map(|_| Seat::new()).collect(),
            target: seats,
            idle: Vec::new(),
            busy: 0,
            times: Times::default(),
            greeted: false,
            began: None,
            failed_starts: 0,
            halted: false,
            now: Duration::ZERO,
            still: Duration::ZERO,
            started: (0, 0),
            actions: VecDeque::new(),
        }
    }

    /// Adds jobs to those that are there; gives the number of the first. Workers are started when they are needed.
    pub fn add(&mut self, now: Duration, jobs: u64) -> u64 {
        self.pass(now);
        self.halted = false;
        let first = self.jobs.add(jobs);
        self.work();
        self.fill();
        first
    }

    /// Gives out no more jobs: what is under way ends, the rest is left out.
    pub fn halt(&mut self) {
        self.halted = true;
    }

    /// Forgets jobs without an outcome. No worker may be at one.
    pub fn forget(&mut self) {
        self.jobs.drop_rest();
    }

    /// Whether all is done that is to be done.
    pub fn is_over(&self) -> bool {
        self.jobs.all_over() || (self.halted && self.busy == 0)
    }

    /// Changes the number of workers. Those that are too many end after their job.
    pub fn resize(&mut self, now: Duration, seats: usize) {
        self.pass(now);
        self.target = seats;
        while self.seats.len() < seats {
            self.seats.push(Seat::new());
        }
        for at in seats..self.seats.len() {
            if matches!(self.seats[at].state, State::Idle | State::Starting { .. }) {
                self.dismiss(at);
            }
        }
        self.work();
        self.fill();
    }

    /// The number of workers that is wanted.
    pub fn seats(&self) -> usize {
        self.target
    }

    /// Time passes. To be called every second or so while there are jobs.
    pub fn tick(&mut self, now: Duration) {
        self.pass(now);
        let deadline = self.rules.deadline(self.times.median());
        for at in 0..self.seats.len() {
            let (seat, now) = (&self.seats[at], self.now);
            let after = |since: Duration, limit: Option<Duration>| limit.is_some_and(|l| now.saturating_sub(since) > l);
            let seconds = |since: Duration| now.saturating_sub(since).as_secs();
            match &seat.state {
                State::Starting { since } if after(*since, self.rules.hello) => {
                    let why = format!("it said no hello in {} s", seconds(*since));
                    self.kill(at, why);
                }
                State::Busy { since, .. } if after(*since, deadline) => {
                    let why = format!("it gave no answer in {} s", seconds(*since));
                    self.kill(at, why);
                }
                State::Busy { since, .. } if after(seat.heard.max(*since), Some(self.rules.silence)) => {
                    let why = format!("nothing was heard of it for {} s", seconds(seat.heard.max(*since)));
                    self.kill(at, why);
                }
                // Its end is not heard of: a machine is gone.
                State::Ending { since, .. } if after(*since, Some(ENDING)) => {
                    self.empty(at, Death { words: String::new(), stderr: String::new() });
                }
                _ => {}
            }
        }
        self.give_up();
        self.work();
        self.fill();
    }

    /// Something is heard of a worker. What an earlier worker of a seat says is not listened to.
    pub fn heard(&mut self, now: Duration, who: WorkerId, what: Heard<A>) {
        self.pass(now);
        let at = who.seat as usize;
        let Some(seat) = self.seats.get_mut(at).filter(|s| s.generation == who.generation && !s.is_empty()) else {
            return;
        };
        seat.heard = self.now;
        match what {
            Heard::Hello(hello) => self.greet(at, hello),
            Heard::Beat => {}
            Heard::Answer { job, result } => self.answer(at, job, result),
            Heard::Back { job } => {
                if let State::Busy { job: own, .. } = seat.state
                    && own == job
                {
                    self.busy -= 1;
                    seat.state = State::Ending { job: None, why: String::new(), since: self.now };
                    self.jobs.once_more(job, "handed back by a worker that had to end".to_string(), &self.rules);
                    self.release();
                }
            }
            Heard::Ended(death) => {
                self.empty(at, death);
                self.work();
                return self.fill();
            }
        }
        self.work();
    }

    /// The next thing to be done.
    pub fn action(&mut self) -> Option<Action<A>> {
        self.actions.pop_front()
    }

    /// The seats, for people.
    pub fn status(&self) -> Vec<SeatStatus> {
        let shown = |(at, seat): &(usize, &Seat)| *at < self.target || !seat.is_empty();
        self.seats.iter().enumerate().filter(shown).map(|(_, s)| s.status(self.now)).collect()
    }

    /// How many things are held in memory for jobs: flat, however many there are.
    pub fn held(&self) -> usize {
        self.jobs.held() + self.actions.len()
    }

    /// Takes the time. A long gap is one in which this process stood still: nobody's silence then says anything.
    fn pass(&mut self, clock: Duration) {
        let now = clock.saturating_sub(self.still);
        let gap = now.saturating_sub(self.now);
        if gap > STOOD_STILL {
            self.still += gap - STOOD_STILL;
        }
        self.now = self.now.max(clock.saturating_sub(self.still));
    }
}
