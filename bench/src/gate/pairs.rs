//! Worker processes from the other side of the pipe, and rounds of pairs of them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

use super::GateError;
use super::rounds::{Round, Source};
use super::worker::{Answer, PROTOCOL, Ready};
use crate::clock::{Clock as _, Wall};
use crate::load::{self, Load};

/// One side of a comparison: a program that has the worker's verb, and what the worker runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// The program.
    pub program: PathBuf,
    /// Its words before the worker's arguments.
    pub verb: Vec<String>,
    /// The network.
    pub model: String,
    /// The engine.
    pub engine: String,
    /// Units of added work, for experiments.
    pub extra: u32,
}

/// A worker that takes longer than this for one answer hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// A running worker; ended when it is dropped.
pub struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    answers: Receiver<std::io::Result<String>>,
    name: String,
}

impl Worker {
    /// Starts a process; it is not ready yet.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(side: &Side) -> Result<Worker, GateError> {
        let name = side.program.display().to_string();
        let refuse = |message: String| GateError::Worker { program: name.clone(), message };
        let mut command = Command::new(&side.program);
        command.args(&side.verb).args(["--model", &side.model, "--engine", &side.engine, "--threads", "1"]);
        if side.extra > 0 {
            command.args(["--extra", &side.extra.to_string()]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|e| refuse(format!("{e}, expected a program")))?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or_else(|| refuse("no pipe".into()))?;
        let (send, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Worker { child, input, answers, name })
    }

    fn refuse(&self, message: impl Into<String>) -> GateError {
        GateError::Worker { program: self.name.clone(), message: message.into() }
    }

    fn line(&mut self) -> Result<String, GateError> {
        match self.answers.recv_timeout(PATIENCE) {
            Ok(line) => line.map_err(|e| self.refuse(e.to_string())),
            Err(RecvTimeoutError::Timeout) => {
                Err(self.refuse(format!("no answer in {} s, expected one", PATIENCE.as_secs())))
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err(self.refuse("it ended, expected an answer (see its own message)"))
            }
        }
    }

    /// Waits until the worker is ready.
    ///
    /// # Errors
    /// When it ends, hangs, or speaks another protocol.
    pub fn ready(&mut self) -> Result<Ready, GateError> {
        let line = self.line()?;
        let ready: Ready = serde_json::from_str(&line)
            .map_err(|_| self.refuse(format!("it said {line:?}, expected a worker's first line")))?;
        if ready.protocol != PROTOCOL {
            return Err(self.refuse(format!("it speaks protocol {}, expected {PROTOCOL}", ready.protocol)));
        }
        Ok(ready)
    }

    /// Tells one line and waits for the answer.
    ///
    /// # Errors
    /// When it ends, hangs, or does not answer as it should.
    pub fn ask(&mut self, line: &str) -> Result<Answer, GateError> {
        let sent = self.input.as_mut().map(|pipe| writeln!(pipe, "{line}").and_then(|()| pipe.flush()));
        if !matches!(sent, Some(Ok(()))) {
            return Err(self.refuse("it ended, expected it to listen (see its own message)"));
        }
        let answer = self.line()?;
        serde_json::from_str(&answer).map_err(|_| self.refuse(format!("it said {answer:?}, expected a time")))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Its input ends, and so does it; killing is for one that hangs.
        self.input = None;
        for _ in 0..20 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How pairs are run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// Blocks of one call each in a round, at most.
    pub blocks: usize,
    /// Calls of each side before the first block.
    pub warmup: usize,
    /// Seconds that a round's blocks may take; slow networks get fewer blocks, but never fewer than 5.
    pub round_seconds: f64,
    /// The core that both run on; the idlest if left out.
    pub core: Option<usize>,
    /// Every random choice derives from it.
    pub seed: u64,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup { blocks: 20, warmup: 5, round_seconds: 3.0, core: None, seed: 1 }
    }
}

/// Fewest blocks of a round.
const FEWEST: usize = 5;
/// How long the cores are watched before one is chosen.
const WATCH: Duration = Duration::from_millis(150);

/// Rounds of fresh pairs of processes.
pub struct Pairs<'a> {
    /// What is compared with.
    pub baseline: Side,
    /// What is judged.
    pub candidate: Side,
    /// How.
    pub setup: Setup,
    /// Whether the user asked to stop.
    pub stop: &'a dyn Fn() -> bool,
    /// Pairs begun so far, over all runs, so that no two rounds have one order.
    pub begun: u64,
    /// Sums of the candidate's time and of the added work in it, in ms.
    pub added: (f64, f64),
}

impl<'a> Pairs<'a> {
    /// No pair has run yet.
    pub fn new(baseline: Side, candidate: Side, setup: Setup, stop: &'a dyn Fn() -> bool) -> Pairs<'a> {
        Pairs { baseline, candidate, setup, stop, begun: 0, added: (0.0, 0.0) }
    }

    /// Both workers, ready, on one core; started in random order while the other cores help.
    fn start(&self, rng: &mut ChaCha8Rng) -> Result<([Worker; 2], Option<usize>), GateError> {
        let mut workers = if rng.random_bool(0.5) {
            let first = Worker::start(&self.baseline)?;
            [first, Worker::start(&self.candidate)?]
        } else {
            let first = Worker::start(&self.candidate)?;
            [Worker::start(&self.baseline)?, first]
        };
        for worker in &mut workers {
            worker.ready()?;
        }
        let core = self.setup.core.or_else(|| load::idlest_core(WATCH));
        if let Some(core) = core {
            for worker in &mut workers {
                worker.ask(&format!("pin {core}"))?;
            }
        }
        Ok((workers, core))
    }

    /// One call of each side in random order, baseline's answer first.
    fn block(workers: &mut [Worker; 2], rng: &mut ChaCha8Rng) -> Result<[Answer; 2], GateError> {
        let mut answers = [Answer::default(); 2];
        let first = usize::from(rng.random_bool(0.5));
        for side in [first, 1 - first] {
            answers[side] = workers[side].ask("call")?;
        }
        Ok(answers)
    }

    fn kernel(workers: &mut [Worker; 2]) -> Result<f64, GateError> {
        Ok((workers[0].ask("kernel")?.ms * workers[1].ask("kernel")?.ms).sqrt())
    }
}

impl Source for Pairs<'_> {
    fn round(&mut self, _: u64) -> Result<Round, GateError> {
        if (self.stop)() {
            return Err(GateError::Stopped);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.setup.seed.wrapping_mul(0x9E37_79B9).wrapping_add(self.begun));
        self.begun += 1;
        let (mut workers, core) = self.start(&mut rng)?;
        let mut last = 0.0;
        for _ in 0..self.setup.warmup.max(1) {
            last = Self::block(&mut workers, &mut rng)?.iter().map(|a| a.ms).sum();
        }
        let fit = (self.setup.round_seconds * 1e3 / f64::max(last, 1e-3)) as usize;
        let blocks = fit.clamp(FEWEST, self.setup.blocks.max(FEWEST));
        let (clock, before) = (Wall::new(), Load::read());
        let mut round = Round { core, kernel_before_ms: Self::kernel(&mut workers)?, ..Round::default() };
        for _ in 0..blocks {
            let [b, c] = Self::block(&mut workers, &mut rng)?;
            round.baseline_ms.push(b.ms);
            round.candidate_ms.push(c.ms);
            round.preempted += b.preempted + c.preempted;
            self.added = (self.added.0 + c.ms, self.added.1 + c.extra_ms);
        }
        round.kernel_after_ms = Self::kernel(&mut workers)?;
        let wall = clock.now();
        (round.seconds, round.load) = (wall.as_secs_f64(), Load::read().since(&before, wall));
        Ok(round)
    }
}
