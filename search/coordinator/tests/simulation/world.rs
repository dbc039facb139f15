//! Fake workers and the wires to them, on a virtual clock.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::time::Duration;

use mobilenas_coordinator::{Action, Coordinator, Death, Failure, Heard, Hello, Rules, WorkerId};

/// Numbers that look random (splitmix64).
pub struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In [0, 1).
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn happens(&mut self, chance: f64) -> bool {
        self.share() < chance
    }
}

pub struct Plan {
    pub workers: u32,
    pub jobs: u64,
    /// How often the coordinator begins: it dies in between.
    pub lives: u64,
    pub seed: u64,
}

/// What came about.
#[derive(Debug, Default)]
pub struct Seen {
    pub answers: u64,
    pub set_aside: u64,
    pub crashes: u64,
    pub kills: u64,
    pub backs: u64,
    pub starts: u64,
    pub failed_starts: u64,
    pub lives: u64,
    pub most_held: usize,
    pub hours: f64,
}

/// What a worker does at a moment.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Tick,
    Greet,
    Beat,
    Answer,
    HandBack,
    Die,
    /// A line reaches the coordinator.
    Arrive(u64),
}

/// When, in which order, what, whose, and the worker's job count then.
type Event = (Duration, u64, Act, (u32, u32), u64);

struct FakeWorker {
    /// The job at hand, and its number among those this worker was given.
    job: Option<u64>,
    given: u64,
    /// Its clock runs so much faster.
    skew: f64,
    /// Its last line is at the coordinator then: lines of one worker arrive in order.
    line_until: Duration,
    alive: bool,
    hangs: bool,
}

pub struct World {
    plan: Plan,
    draw: Draw,
    clock: Duration,
    events: BinaryHeap<Reverse<Event>>,
    order: u64,
    workers: HashMap<(u32, u32), FakeWorker>,
    lines: HashMap<u64, Heard<u64>>,
    /// Jobs whose answers reached the coordinator and are not in the journal.
    unwritten: BTreeSet<u64>,
    /// What survives the coordinator: outcomes in the order of the jobs.
    journal: u64,
    /// Where the coordinator that lives began.
    base: u64,
    /// Attempts that were given out, and ends of scoring, job by job.
    given: Vec<u8>,
    scored: Vec<u8>,
    /// Attempts that came to nothing through no answer, job by job.
    wasted: Vec<u8>,
    seen: Seen,
}

/// The right answer.
fn answer(job: u64) -> u64 {
    job.wrapping_mul(0x2545_f491_4f6c_dd1d)
}

/// Candidates that kill every worker.
fn poisonous(job: u64) -> bool {
    job % 4_999 == 4_000
}

/// Lets a worker's next line arrive only then.
fn worker_late(workers: &mut HashMap<(u32, u32), FakeWorker>, who: (u32, u32), until: Duration) {
    if let Some(worker) = workers.get_mut(&who) {
        worker.line_until = until;
    }
}

/// Jobs that a strategy asks for at once.
const BATCH: u64 = 5_000;

impl World {
    pub fn new(plan: Plan) -> World {
        let n = plan.jobs as usize;
        World {
            draw: Draw(plan.seed),
            plan,
            clock: Duration::from_secs(1_000),
            events: BinaryHeap::new(),
            order: 0,
            workers: HashMap::new(),
            lines: HashMap::new(),
            unwritten: BTreeSet::new(),
            journal: 0,
            base: 0,
            given: vec![0; n],
            scored: vec![0; n],
            wasted: vec![0; n],
            seen: Seen::default(),
        }
    }

    /// Lets coordinators live one after another, each from where the journal ends.
    pub fn run(mut self) -> Seen {
        for life in 1..=self.plan.lives {
            self.seen.lives += 1;
            // In the middle of a batch.
            let early = if life < self.plan.lives { 1_234 } else { 0 };
            let until = self.plan.jobs * life / self.plan.lives - early;
            self.live(until);
            // What it had given out and not written is lost with it.
            for worker in self.workers.values_mut() {
                if let Some(job) = worker.job.take() {
                    self.wasted[job as usize] += 1;
                }
            }
            for heard in self.lines.values() {
                if let Heard::Answer { job, .. } | Heard::Back { job } = heard {
                    self.wasted[*job as usize] += 1;
                }
            }
            for job in std::mem::take(&mut self.unwritten) {
                self.wasted[job as usize] += 1;
            }
            self.workers.clear();
            self.lines.clear();
            self.events.clear();
            self.clock += Duration::from_secs(3_600);
        }
        assert_eq!(self.journal, self.plan.jobs, "jobs are missing");
        let poison = (0..self.plan.jobs).filter(|j| poisonous(*j)).count() as u64;
        assert_eq!(self.seen.set_aside, poison, "candidates that kill, and only those, are set aside");
        for job in 0..self.plan.jobs as usize {
            assert!(self.scored[job] <= self.given[job], "job {job} was scored more often than it was given out");
            let needed = u8::from(!poisonous(job as u64) && self.scored[job] > 0);
            assert!(
                self.given[job] <= self.wasted[job] + needed,
                "job {job} was given out {} times, {} were lost",
                self.given[job],
                self.wasted[job]
            );
        }
        self.seen.hours = self.clock.as_secs_f64() / 3_600.0;
        self.seen
    }

    /// A coordinator until so many jobs are in the journal; then it dies, and all that it knew.
    fn live(&mut self, until: u64) {
        let seats = self.plan.workers as usize;
        let mut c = Coordinator::new(Rules::default(), Hello::default(), seats);
        self.base = self.journal;
        let mut end = self.base;
        self.at(Duration::ZERO, Act::Tick, (0, 0), 0);
        while self.journal < until {
            if c.is_over() {
                let batch = BATCH.min(self.plan.jobs - end);
                c.add(self.clock, batch);
                end += batch;
            }
            self.perform(&mut c);
            let Some(Reverse((when, _, act, who, count))) = self.events.pop() else {
                panic!("nothing happens any more")
            };
            self.clock = when;
            if act == Act::Tick {
                c.tick(self.clock);
                self.at(Duration::from_secs(1), Act::Tick, (0, 0), 0);
            } else {
                self.act(&mut c, act, who, count);
            }
            self.seen.most_held = self.seen.most_held.max(c.held());
        }
    }

    fn at(&mut self, after: Duration, act: Act, who: (u32, u32), count: u64) {
        self.order += 1;
        self.events.push(Reverse((self.clock + after, self.order, act, who, count)));
    }

    /// Sends a line, which arrives a little later, after those before it.
    fn send(&mut self, who: (u32, u32), heard: Heard<u64>) {
        let delay = Duration::from_secs_f64(0.05 * self.draw.share());
        let worker = self.workers.get_mut(&who).unwrap();
        worker.line_until = worker.line_until.max(self.clock + delay) + Duration::from_nanos(1);
        let after = worker.line_until - self.clock;
        let line = self.order;
        self.lines.insert(line, heard);
        self.at(after, Act::Arrive(line), who, 0);
    }

    /// What the coordinator wants done.
    fn perform(&mut self, c: &mut Coordinator<u64>) {
        while let Some(action) = c.action() {
            match action {
                Action::Start(WorkerId { seat, generation }) => self.start((seat, generation)),
                Action::Give { to, job, .. } => self.give((to.seat, to.generation), self.base + job),
                Action::Dismiss(who) | Action::Kill(who) => {
                    self.seen.kills += 1;
                    self.at(Duration::from_millis(200), Act::Die, (who.seat, who.generation), u64::MAX);
                }
                Action::Done { job, outcome } => {
                    let job = self.base + job;
                    assert_eq!(job, self.journal, "outcomes come in order");
                    self.journal += 1;
                    self.unwritten.remove(&job);
                    match outcome {
                        Ok(found) => assert_eq!(found, answer(job)),
                        Err(Failure::SetAside(deaths)) => {
                            self.seen.set_aside += 1;
                            assert_eq!(deaths.len(), 3);
                            assert!(poisonous(job), "job {job} did nothing wrong: {deaths:?}");
                        }
                        Err(other) => panic!("job {job}: {other}"),
                    }
                }
                Action::Say(_) => {}
                Action::GiveUp(message) => panic!("{message}"),
            }
        }
    }

    fn start(&mut self, who: (u32, u32)) {
        self.seen.starts += 1;
        let skew = 0.5 + 1.5 * self.draw.share();
        let worker = FakeWorker { job: None, given: 0, skew, line_until: self.clock, alive: true, hangs: false };
        assert!(self.workers.insert(who, worker).is_none(), "{who:?} was started twice");
        let after = Duration::from_secs_f64(1.0 + 20.0 * self.draw.share());
        let vain = self.draw.happens(0.05);
        self.at(after, if vain { Act::Die } else { Act::Greet }, who, 0);
        self.seen.failed_starts += u64::from(vain);
    }

    fn give(&mut self, who: (u32, u32), job: u64) {
        self.given[job as usize] += 1;
        let Some(worker) = self.workers.get_mut(&who).filter(|w| w.alive) else {
            // It died and nobody knows it yet.
            self.wasted[job as usize] += 1;
            return;
        };
        assert_eq!(worker.job.replace(job), None, "{who:?} has two jobs");
        worker.given += 1;
        let (count, skew) = (worker.given, worker.skew);
        // Half a second to three, by the worker's clock; a straggler takes 100 times as long.
        let straggles = if self.draw.happens(0.000_2) { 100.0 } else { 1.0 };
        let takes = straggles * (0.5 + 2.5 * self.draw.share());
        let after = Duration::from_secs_f64(takes / skew);
        let half = after.mul_f64(self.draw.share());
        let trouble = self.draw.share();
        if poisonous(job) || trouble < 0.000_5 {
            return self.at(half, Act::Die, who, count);
        }
        if trouble < 0.000_6 {
            self.workers.get_mut(&who).unwrap().hangs = true;
            return;
        }
        let act = if trouble < 0.002 { Act::HandBack } else { Act::Answer };
        self.at(if act == Act::HandBack { half } else { after }, act, who, count);
        self.at(Duration::from_secs_f64(10.0 / skew), Act::Beat, who, count);
    }

    fn act(&mut self, c: &mut Coordinator<u64>, act: Act, who: (u32, u32), count: u64) {
        if let Act::Arrive(line) = act {
            let heard = self.lines.remove(&line).unwrap();
            let (seat, generation) = who;
            if let Heard::Ended(_) = heard {
                self.workers.remove(&who);
            }
            return self.deliver(c, WorkerId { seat, generation }, heard);
        }
        let Some(worker) = self.workers.get_mut(&who).filter(|w| w.alive) else { return };
        let current = worker.given == count && worker.job.is_some() && !worker.hangs;
        match act {
            Act::Greet => self.send(who, Heard::Hello(Hello::default())),
            Act::Beat if current => {
                let after = Duration::from_secs_f64(10.0 / worker.skew);
                self.send(who, Heard::Beat);
                self.at(after, Act::Beat, who, count);
            }
            Act::Answer if current => {
                let job = worker.job.take().unwrap();
                self.scored[job as usize] += 1;
                self.send(who, Heard::Answer { job, result: Ok(answer(job)) });
            }
            Act::HandBack if current => {
                let job = worker.job.take().unwrap();
                self.seen.backs += 1;
                self.send(who, Heard::Back { job });
                self.die(who);
            }
            Act::Die if current || count == 0 || count == u64::MAX => {
                self.seen.crashes += u64::from(count != 0 && count != u64::MAX);
                self.die(who);
            }
            _ => {}
        }
    }

    fn die(&mut self, who: (u32, u32)) {
        let worker = self.workers.get_mut(&who).unwrap();
        worker.alive = false;
        if let Some(job) = worker.job.take() {
            self.wasted[job as usize] += 1;
        }
        // Of some machines one never hears again, and of some only when another has long taken their seat.
        if self.draw.happens(0.05) {
            return;
        }
        if self.draw.happens(0.3) {
            worker_late(&mut self.workers, who, self.clock + Duration::from_secs(200));
        }
        self.send(who, Heard::Ended(Death { words: "ended".to_string(), stderr: "x".repeat(100) }));
    }

    fn deliver(&mut self, c: &mut Coordinator<u64>, who: WorkerId, heard: Heard<u64>) {
        match &heard {
            Heard::Back { job } => self.wasted[*job as usize] += 1,
            Heard::Answer { job, .. } => {
                self.seen.answers += 1;
                self.unwritten.insert(*job);
            }
            _ => {}
        }
        // A coordinator numbers its jobs from where it began.
        let own = |job: u64| job - self.base;
        let heard = match heard {
            Heard::Answer { job, result } => Heard::Answer { job: own(job), result },
            Heard::Back { job } => Heard::Back { job: own(job) },
            other => other,
        };
        c.heard(self.clock, who, heard);
    }
}
