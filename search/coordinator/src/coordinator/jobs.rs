//! Jobs by their numbers: which are next, how often each was tried, and outcomes in the order of the jobs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use super::Rules;

/// A worker that died of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// How, in words.
    pub words: String,
    /// The end of its standard error.
    pub stderr: String,
}

/// Why a job has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Workers answered with a failure, as often as that is tried again.
    Answered {
        /// The last one.
        why: String,
        /// How many.
        tries: u32,
    },
    /// It killed as many workers as may die of a job.
    SetAside(Vec<Death>),
    /// It was given to workers as often as a job may be, and none came to an end.
    Attempts {
        /// How often.
        attempts: u32,
        /// What ended the last one.
        why: String,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Answered { why, tries: 1 } => write!(f, "{why}"),
            Failure::Answered { why, tries } => write!(f, "{why} (tried {tries} times)"),
            Failure::SetAside(deaths) => {
                let last = deaths.last().map_or("", |d| d.words.as_str());
                write!(f, "{} workers died of it, the last: {last}", deaths.len())
            }
            Failure::Attempts { attempts, why } => write!(f, "given out {attempts} times, the last: {why}"),
        }
    }
}

/// What was tried with a job that is not over.
#[derive(Debug, Default)]
struct Record {
    attempts: u32,
    failures: u32,
    deaths: Vec<Death>,
}

#[derive(Debug)]
pub(super) struct Jobs<A> {
    /// Given out before, and to be given out again.
    again: BTreeSet<u64>,
    /// The first that was never given out.
    next: u64,
    /// Behind the last one.
    end: u64,
    /// The first without an outcome.
    first: u64,
    /// Outcomes behind it.
    early: BTreeMap<u64, Result<A, Failure>>,
    records: HashMap<u64, Record>,
}

impl<A> Jobs<A> {
    pub(super) fn new() -> Jobs<A> {
        Jobs { again: BTreeSet::new(), next: 0, end: 0, first: 0, early: BTreeMap::new(), records: HashMap::new() }
    }

    /// Adds jobs; gives the number of the first.
    pub(super) fn add(&mut self, jobs: u64) -> u64 {
        self.end += jobs;
        self.end - jobs
    }

    /// Forgets what has no outcome, and outcomes that wait for it.
    pub(super) fn drop_rest(&mut self) {
        self.again.clear();
        self.early.clear();
        self.records.clear();
        (self.next, self.first) = (self.end, self.end);
    }

    /// Jobs that wait for a worker, if workers may be so far ahead of the first without an outcome.
    pub(super) fn waiting(&self, ahead: u64) -> u64 {
        let limit = self.end.min(self.first.saturating_add(ahead));
        self.again.len() as u64 + limit.saturating_sub(self.next)
    }

    /// Takes the next job: its number, and the how-manieth attempt this is.
    pub(super) fn take(&mut self, ahead: u64) -> Option<(u64, u32)> {
        let job = match self.again.pop_first() {
            Some(job) => job,
            None if self.next < self.end && self.next < self.first.saturating_add(ahead) => {
                self.next += 1;
                self.next - 1
            }
            None => return None,
        };
        let record = self.records.entry(job).or_default();
        record.attempts += 1;
        Some((job, record.attempts))
    }

    pub(super) fn answered(&mut self, job: u64, result: Result<A, String>, rules: &Rules) {
        match result {
            Ok(answer) => self.over(job, Ok(answer)),
            Err(why) => {
                let record = self.records.entry(job).or_default();
                record.failures += 1;
                match record.failures > rules.retries {
                    true => {
                        let tries = record.failures;
                        self.over(job, Err(Failure::Answered { why, tries }));
                    }
                    false => self.once_more(job, why, rules),
                }
            }
        }
    }

    pub(super) fn killed(&mut self, job: u64, death: Death, rules: &Rules) {
        let record = self.records.entry(job).or_default();
        let why = death.words.clone();
        record.deaths.push(death);
        match record.deaths.len() as u32 >= rules.deaths {
            true => {
                let deaths = std::mem::take(&mut record.deaths);
                self.over(job, Err(Failure::SetAside(deaths)));
            }
            false => self.once_more(job, why, rules),
        }
    }

    /// Queues a job again, unless that was done too often.
    pub(super) fn once_more(&mut self, job: u64, why: String, rules: &Rules) {
        let attempts = self.records.get(&job).map_or(0, |r| r.attempts);
        match attempts >= rules.attempts {
            true => self.over(job, Err(Failure::Attempts { attempts, why })),
            false => drop(self.again.insert(job)),
        }
    }

    fn over(&mut self, job: u64, outcome: Result<A, Failure>) {
        self.records.remove(&job);
        self.early.insert(job, outcome);
    }

    /// The next outcome in the order of the jobs.
    pub(super) fn release(&mut self) -> Option<(u64, Result<A, Failure>)> {
        let outcome = self.early.remove(&self.first)?;
        self.first += 1;
        Some((self.first - 1, outcome))
    }

    /// Whether every job has an outcome that was released.
    pub(super) fn all_over(&self) -> bool {
        self.first == self.end
    }

    /// What is held in memory.
    pub(super) fn held(&self) -> usize {
        self.again.len() + self.early.len() + self.records.values().map(|r| 1 + r.deaths.len()).sum::<usize>()
    }
}
