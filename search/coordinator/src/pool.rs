//! Workers and lists of jobs: the coordinator with real processes and a real clock.

use std::collections::HashMap;
use std::io;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use mobilenas_host::{Clock as _, WallClock};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::line::ToWorker;
use crate::process::{Process, Report};
use crate::room::Room;
use crate::{Action, Coordinator, Death, Failure, Heard, Hello, Rules, WorkerId};

/// Why a list of jobs comes to no end.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// No worker ever came.
    #[error("{0}")]
    NoWorker(String),
    /// A job has no JSON.
    #[error("a job cannot be written as JSON: {0}")]
    Job(#[from] serde_json::Error),
}

/// How workers are started and what is asked of them.
pub struct PoolConfig {
    /// How patient the coordinator is.
    pub rules: Rules,
    /// What a worker has to say first.
    pub expected: Hello,
    /// How many.
    pub workers: usize,
    /// What is sent to a worker before all else.
    pub first: Option<Arc<str>>,
    /// Whether a launcher stands before the worker's program.
    pub launched: bool,
    /// Workers that are at work when no more is wanted are asked to leave off: their jobs are long.
    pub stops: bool,
    /// Where others see the workers and change their number, if anywhere.
    pub room: Option<Room>,
    /// Tells the user.
    pub say: Box<dyn Fn(&str)>,
    /// The command of a worker.
    pub make: Box<dyn Fn(WorkerId) -> io::Result<Command>>,
}

/// Workers, started when they are first needed and kept from list to list.
pub struct Pool<A> {
    config: PoolConfig,
    coordinator: Coordinator<A>,
    processes: HashMap<WorkerId, Process>,
    reports: Receiver<Report<A>>,
    sender: Sender<Report<A>>,
    clock: WallClock,
    /// Whether a worker with another processor than ours ever came.
    mixed: Arc<AtomicBool>,
    looked: Duration,
}

/// Between two looks at the clock, where nothing is heard.
const LOOK: Duration = Duration::from_millis(20);
/// Between two ticks of the coordinator.
const TICK: Duration = Duration::from_millis(100);
/// Between two looks at the room.
const ROOM: Duration = Duration::from_secs(1);
/// How long workers may take to end when all is over.
const TO_END: Duration = Duration::from_secs(2);
/// And with a launcher, which may hear of an end seconds later, and clears away then what it has started.
const LAUNCHER_TO_END: Duration = Duration::from_secs(10);

impl<A: DeserializeOwned + Send + 'static> Pool<A> {
    /// No worker is started yet.
    pub fn new(config: PoolConfig) -> Pool<A> {
        let (sender, reports) = channel();
        let coordinator = Coordinator::new(config.rules.clone(), config.expected.clone(), config.workers);
        Pool {
            config,
            coordinator,
            processes: HashMap::new(),
            reports,
            sender,
            clock: WallClock::new(),
            mixed: Arc::default(),
            looked: Duration::ZERO,
        }
    }

    /// Whether a worker with another processor than ours has come: its scores may differ in their last digits.
    pub fn mixed(&self) -> Arc<AtomicBool> {
        self.mixed.clone()
    }

    /// From now on all workers have to be of one kind of host: this one, or that of the first that comes.
    pub fn one_kind(&mut self, kind: Option<String>) {
        self.coordinator.one_kind(kind);
    }

    /// The kind of host that all workers are of; empty where any will do, or none has come.
    pub fn kind(&self) -> &str {
        self.coordinator.kind()
    }

    /// Has jobs done while `go_on`, and gives each answer to `done`, in the order of the jobs: a result, or why there is
    /// none. Jobs that were begun are finished; those that were not are left out.
    ///
    /// # Errors
    /// When no worker ever comes, or the first error of `done`; what is under way is then finished and dropped.
    pub fn run<J: Serialize, E: From<PoolError>>(
        &mut self,
        jobs: &[J],
        go_on: impl Fn() -> bool,
        mut done: impl FnMut(usize, Result<A, Failure>) -> Result<(), E>,
    ) -> Result<(), E> {
        let first = self.coordinator.add(self.clock.now(), jobs.len() as u64);
        let (mut end, mut halted, mut ticked) = (Ok(()), false, Duration::ZERO);
        loop {
            if !halted && (end.is_err() || !go_on()) {
                halted = true;
                self.coordinator.halt();
                if self.config.stops {
                    self.stop_all();
                }
            }
            while let Some(action) = self.coordinator.action() {
                let result = self.perform(action, first, jobs, &mut done);
                end = end.and(result);
            }
            if self.coordinator.is_over() {
                break;
            }
            match self.reports.recv_timeout(LOOK) {
                Ok(report) => self.hear(report),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            let now = self.clock.now();
            if now - ticked >= TICK {
                ticked = now;
                self.coordinator.tick(now);
                let ended = |(who, p): (&WorkerId, &mut Process)| p.insist().map(|death| (*who, Heard::Ended(death)));
                let ended: Vec<Report<A>> = self.processes.iter_mut().filter_map(ended).collect();
                ended.into_iter().for_each(|report| self.hear(report));
                self.look();
            }
        }
        self.coordinator.forget();
        self.show();
        end
    }

    fn hear(&mut self, (who, heard): Report<A>) {
        match &heard {
            Heard::Hello(hello) => {
                if hello.cpu != self.config.expected.cpu {
                    self.mixed.store(true, Ordering::SeqCst);
                }
                let line = serde_json::to_string(&ToWorker::<()>::Welcome {}).unwrap_or_default();
                if let Some(process) = self.processes.get_mut(&who) {
                    process.send(&line);
                }
            }
            Heard::Ended(_) => drop(self.processes.remove(&who)),
            _ => {}
        }
        self.coordinator.heard(self.clock.now(), who, heard);
    }

    fn perform<J: Serialize, E: From<PoolError>>(
        &mut self,
        action: Action<A>,
        first: u64,
        jobs: &[J],
        done: &mut impl FnMut(usize, Result<A, Failure>) -> Result<(), E>,
    ) -> Result<(), E> {
        match action {
            Action::Start(who) => self.start(who),
            Action::Give { to, job, attempt } => {
                let Some(work) = jobs.get((job - first) as usize) else { return Ok(()) };
                let line = ToWorker::Job { number: job, attempt, work };
                let line = serde_json::to_string(&line).map_err(PoolError::Job)?;
                if let Some(process) = self.processes.get_mut(&to) {
                    process.send(&line);
                }
            }
            Action::Dismiss(who) => {
                if let Some(process) = self.processes.get_mut(&who) {
                    process.close();
                }
            }
            Action::Kill(who) => {
                if let Some(process) = self.processes.get_mut(&who) {
                    process.end();
                }
            }
            Action::Done { job, outcome } => return done((job - first) as usize, outcome),
            Action::Say(text) => (self.config.say)(&text),
            Action::GiveUp(message) => return Err(PoolError::NoWorker(message).into()),
        }
        Ok(())
    }

    fn start(&mut self, who: WorkerId) {
        let PoolConfig { first, launched, make, .. } = &self.config;
        let started = make(who)
            .map_err(|e| e.to_string())
            .and_then(|command| Process::start(command, *launched, first.clone(), who, self.sender.clone()));
        match started {
            Ok(process) => drop(self.processes.insert(who, process)),
            Err(words) => {
                let death = Death { words, stderr: String::new() };
                // Heard of like any other end; this side of the channel is always there.
                let _ = self.sender.send((who, Heard::Ended(death)));
            }
        }
    }

    /// Asks all workers to leave off.
    fn stop_all(&mut self) {
        let line = serde_json::to_string(&ToWorker::<()>::Stop {}).unwrap_or_default();
        self.processes.values_mut().for_each(|p| p.send(&line));
    }

    /// Looks whether somebody wants another number of workers, and shows who is there.
    fn look(&mut self) {
        let now = self.clock.now();
        if self.config.room.is_none() || now - self.looked < ROOM {
            return;
        }
        self.looked = now;
        let wanted = self.config.room.as_ref().and_then(Room::wanted);
        if let Some(wanted) = wanted.filter(|n| *n != self.coordinator.seats()) {
            (self.config.say)(&format!("{wanted} workers from now on, {} before", self.coordinator.seats()));
            self.coordinator.resize(now, wanted);
        }
        self.show();
    }

    fn show(&mut self) {
        if let Some(room) = &mut self.config.room
            && let Err(e) = room.show(self.coordinator.seats(), self.coordinator.status())
        {
            (self.config.say)(&format!("the workers are not shown: {e}"));
            self.config.room = None;
        }
    }
}

impl<A> Drop for Pool<A> {
    fn drop(&mut self) {
        self.processes.values_mut().for_each(Process::close);
        let to_end = if self.config.launched { LAUNCHER_TO_END } else { TO_END };
        let begin = Instant::now();
        let mut asked = false;
        while begin.elapsed() < to_end && !self.processes.values().all(Process::is_over) {
            if !asked && begin.elapsed() > to_end / 2 {
                asked = true;
                self.processes.values_mut().for_each(Process::end);
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.processes.values_mut().for_each(Process::kill);
    }
}
