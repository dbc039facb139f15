//! Who sits where: workers come, get jobs, and go.

use super::seat::State;
use super::{Action, Coordinator, Death, TOLD, WorkerId};
use crate::Hello;

impl<A> Coordinator<A> {
    pub(super) fn greet(&mut self, at: usize, hello: Hello) {
        if !matches!(self.seats[at].state, State::Starting { .. }) {
            return;
        }
        if let Some(why) = hello.refusal(&self.expected) {
            return self.kill(at, why);
        }
        if self.one_kind && self.expected.kind.is_empty() {
            self.expected.kind.clone_from(&hello.kind);
        }
        self.greeted = true;
        self.seats[at].hello = Some(hello);
        self.seats[at].state = State::Idle;
        if at < self.target {
            self.idle.push(at as u32);
        } else {
            self.dismiss(at);
        }
    }

    pub(super) fn answer(&mut self, at: usize, job: u64, result: Result<A, String>) {
        let (seat, now) = (&mut self.seats[at], self.now);
        match &mut seat.state {
            State::Busy { job: own, since } if *own == job => {
                self.times.add(now.saturating_sub(*since));
                self.busy -= 1;
                (seat.failures, seat.state) = (0, State::Idle);
                seat.answered += 1;
                if at < self.target {
                    self.idle.push(at as u32);
                } else {
                    self.dismiss(at);
                }
            }
            // Too late, but not in vain.
            State::Ending { job: own, .. } if *own == Some(job) => {
                *own = None;
                self.busy -= 1;
                seat.answered += 1;
            }
            _ => return,
        }
        self.jobs.answered(job, result, &self.rules);
        self.release();
    }

    pub(super) fn release(&mut self) {
        while let Some((job, outcome)) = self.jobs.release() {
            self.actions.push_back(Action::Done { job, outcome });
        }
    }

    fn leave_idle(&mut self, at: usize) {
        self.idle.retain(|seat| *seat as usize != at);
    }

    pub(super) fn dismiss(&mut self, at: usize) {
        self.leave_idle(at);
        self.seats[at].state = State::Ending { job: None, why: String::new(), since: self.now };
        self.actions.push_back(Action::Dismiss(self.id(at)));
    }

    pub(super) fn kill(&mut self, at: usize, why: String) {
        self.leave_idle(at);
        let job = match self.seats[at].state {
            State::Busy { job, .. } => Some(job),
            _ => None,
        };
        self.seats[at].state = State::Ending { job, why, since: self.now };
        self.actions.push_back(Action::Kill(self.id(at)));
    }

    /// A seat's worker is gone.
    pub(super) fn empty(&mut self, at: usize, mut death: Death) {
        self.leave_idle(at);
        let seat = &mut self.seats[at];
        let (job, blamed) = match std::mem::replace(&mut seat.state, State::Empty) {
            State::Empty => return,
            State::Starting { .. } => (None, true),
            State::Idle => (None, true),
            State::Busy { job, .. } => (Some(job), true),
            State::Ending { job, why, .. } => {
                // Why it was killed says more than that it was.
                let blamed = !why.is_empty();
                if blamed {
                    death.words = why;
                }
                (job, blamed)
            }
        };
        let greeted = seat.hello.take().is_some();
        if blamed {
            seat.failures += 1;
            seat.not_before = self.now + self.rules.pause_after(seat.failures);
            seat.trouble = [death.words.as_str(), death.stderr.trim()].join(": ").trim_end_matches(": ").to_string();
        }
        let trouble = seat.trouble.clone();
        if let Some(job) = job {
            self.busy -= 1;
            self.jobs.killed(job, death, &self.rules);
            self.release();
        } else if blamed && !greeted {
            self.failed_starts += 1;
            if self.failed_starts <= TOLD {
                self.actions.push_back(Action::Say(format!("worker {at} did not start: {trouble}")));
            }
        }
    }

    /// Ends everything if no worker ever came, and none is on its way.
    pub(super) fn give_up(&mut self) {
        let late = self.began.is_some_and(|began| self.now.saturating_sub(began) >= self.rules.give_up);
        if self.greeted || !late || self.failed_starts < TOLD {
            return;
        }
        if self.seats.iter().all(|s| s.is_empty() || s.failures > 0) {
            let why = self.seats.iter().map(|s| &s.trouble).find(|t| !t.is_empty()).cloned().unwrap_or_default();
            let n = self.failed_starts;
            self.actions.push_back(Action::GiveUp(format!("no worker could be started in {n} attempts: {why}")));
            self.halted = true;
        }
    }

    /// Jobs that workers may be ahead of the first without an outcome.
    fn ahead(&self) -> u64 {
        self.rules.ahead * self.target.max(1) as u64
    }

    /// Gives jobs to those who have none.
    pub(super) fn work(&mut self) {
        if self.halted {
            return;
        }
        let ahead = self.ahead();
        while let Some(at) = self.idle.last().map(|at| *at as usize) {
            let Some((job, attempt)) = self.jobs.take(ahead) else { break };
            self.idle.pop();
            self.busy += 1;
            let seat = &mut self.seats[at];
            (seat.state, seat.heard) = (State::Busy { job, since: self.now }, self.now);
            let to = self.id(at);
            self.actions.push_back(Action::Give { to, job, attempt });
        }
    }

    /// Fills empty seats for jobs that wait.
    pub(super) fn fill(&mut self) {
        let waiting = if self.halted { 0 } else { self.jobs.waiting(self.ahead()) };
        if waiting == 0 {
            return;
        }
        let second = self.now.as_secs();
        if self.started.0 != second {
            self.started = (second, 0);
        }
        if self.started.1 >= self.rules.starts_per_second {
            return;
        }
        let coming = self.seats.iter().filter(|s| matches!(s.state, State::Starting { .. } | State::Idle)).count();
        let mut missing = waiting.saturating_sub(coming as u64);
        for at in 0..self.target {
            if missing == 0 || self.started.1 >= self.rules.starts_per_second {
                break;
            }
            let (now, seat) = (self.now, &mut self.seats[at]);
            if seat.is_empty() && seat.not_before <= now {
                seat.generation += 1;
                (seat.state, seat.heard) = (State::Starting { since: now }, now);
                self.began.get_or_insert(now);
                (self.started.1, missing) = (self.started.1 + 1, missing - 1);
                self.actions.push_back(Action::Start(self.id(at)));
            }
        }
    }

    fn id(&self, at: usize) -> WorkerId {
        WorkerId { seat: at as u32, generation: self.seats[at].generation }
    }
}
