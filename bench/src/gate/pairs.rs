//! Worker processes from the other side of the pipe, and rounds of pairs of them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::GateError;
use super::rounds::{Round, Source};
use super::worker::{Answer, PROTOCOL, Ready};
use mobilenas_host::clock::{Clock as _, WallClock};
use mobilenas_host::load::{self, Load};

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
    /// Intra-op threads.
    #[serde(default = "one")]
    pub threads: usize,
    /// Images in a batch.
    #[serde(default = "one")]
    pub batch: usize,
    /// The only cores it may run on, from its beginning; any if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cores: Vec<usize>,
    /// The design of the network as JSON, if it is no published one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub design: Option<String>,
}

fn one() -> usize {
    1
}

impl Side {
    /// A published network on an engine: one thread, one image, any core.
    pub fn new(program: PathBuf, verb: &[&str], model: &str, engine: &str) -> Side {
        let verb = verb.iter().map(ToString::to_string).collect();
        let (model, engine) = (model.to_string(), engine.to_string());
        Side { program, verb, model, engine, extra: 0, threads: 1, batch: 1, cores: Vec::new(), design: None }
    }

    /// The words that start it. What is as it always was is left out: an older program may not know it.
    fn words(&self) -> Vec<String> {
        let mut words = self.verb.clone();
        let mut add = |name: &str, value: String| words.extend([name.to_string(), value]);
        add("--model", self.model.clone());
        add("--engine", self.engine.clone());
        add("--threads", self.threads.to_string());
        if self.extra > 0 {
            add("--extra", self.extra.to_string());
        }
        if self.batch != 1 {
            add("--batch", self.batch.to_string());
        }
        if !self.cores.is_empty() {
            add("--cores", self.cores.iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
        }
        if let Some(design) = &self.design {
            add("--design", design.clone());
        }
        words
    }
}

/// A worker that takes longer than this for one answer hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// A running worker; ended when it is dropped.
pub struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    answers: Receiver<std::io::Result<String>>,
    /// The last line that it says beside the answers, once it has ended.
    words: Option<JoinHandle<String>>,
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
        command.args(side.words()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
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
        let beside = child.stderr.take().ok_or_else(|| refuse("no pipe".into()))?;
        let words = std::thread::spawn(move || {
            let lines = BufReader::new(beside).lines().map_while(Result::ok);
            lines.filter(|l| !l.trim().is_empty()).last().unwrap_or_default()
        });
        Ok(Worker { child, input, answers, words: Some(words), name })
    }

    /// Ends it: its input ends, and so does it; killing is for one that hangs.
    fn end(&mut self) -> Option<ExitStatus> {
        self.input = None;
        for _ in 0..20 {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        self.child.wait().ok()
    }

    /// That it ended although it should not have, with its last words.
    fn ended(&mut self) -> GateError {
        let status = self.end().map(|s| s.to_string()).unwrap_or_default();
        let words = self.words.take().and_then(|w| w.join().ok()).unwrap_or_default();
        let words = words.strip_prefix("error: ").unwrap_or(&words).trim();
        if words.is_empty() {
            return self.refuse(format!("it ended without a word ({status}), expected an answer"));
        }
        self.refuse(format!("it ended ({status}): {words}"))
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
            Err(RecvTimeoutError::Disconnected) => Err(self.ended()),
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
        self.ask_for(line)
    }

    /// Tells one line and waits for an answer of another kind.
    ///
    /// # Errors
    /// When it ends, hangs, or does not answer as it should.
    pub fn ask_for<T: DeserializeOwned>(&mut self, line: &str) -> Result<T, GateError> {
        let sent = self.input.as_mut().map(|pipe| writeln!(pipe, "{line}").and_then(|()| pipe.flush()));
        if !matches!(sent, Some(Ok(()))) {
            return Err(self.ended());
        }
        let answer = self.line()?;
        serde_json::from_str(&answer).map_err(|_| self.refuse(format!("it said {answer:?}, expected a time")))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
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
        Setup { blocks: 60, warmup: 5, round_seconds: 3.0, core: None, seed: 1 }
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
    /// Of each of the candidate's calls, the added work over the rest.
    pub added: Vec<f64>,
}

impl<'a> Pairs<'a> {
    /// No pair has run yet.
    pub fn new(baseline: Side, candidate: Side, setup: Setup, stop: &'a dyn Fn() -> bool) -> Pairs<'a> {
        Pairs { baseline, candidate, setup, stop, begun: 0, added: Vec::new() }
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
        let (clock, before) = (WallClock::new(), Load::read());
        let mut round = Round { core, kernel_before_ms: Self::kernel(&mut workers)?, ..Round::default() };
        for _ in 0..blocks {
            let [b, c] = Self::block(&mut workers, &mut rng)?;
            round.baseline_ms.push(b.ms);
            round.candidate_ms.push(c.ms);
            round.preempted += b.preempted + c.preempted;
            self.added.push(c.extra_ms / (c.ms - c.extra_ms));
        }
        round.kernel_after_ms = Self::kernel(&mut workers)?;
        let wall = clock.now();
        (round.seconds, round.load) = (wall.as_secs_f64(), Load::read().since(&before, wall));
        Ok(round)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_program_understands_what_is_as_it_always_was() {
        let side = Side::new("p".into(), &["bench", "worker"], "m", "e");
        assert_eq!(side.words().join(" "), "bench worker --model m --engine e --threads 1");
        let design = Some("{}".to_string());
        let side = Side { extra: 3, threads: 2, batch: 8, cores: vec![0, 1], design, ..side };
        let words = "bench worker --model m --engine e --threads 2 --extra 3 --batch 8 --cores 0,1 --design {}";
        assert_eq!(side.words().join(" "), words);
    }

    #[test]
    fn a_worker_that_ends_is_named_with_its_last_words() {
        let worker = |script: &str| {
            // What comes after the script are its own arguments, which it does not look at.
            let side = Side::new("/bin/sh".into(), &["-c", script], "m", "e");
            Worker::start(&side).and_then(|mut w| w.ready()).map_err(|e| e.to_string())
        };
        let said = worker("echo first >&2; echo 'error: no such engine' >&2; exit 2");
        assert_eq!(said, Err("worker /bin/sh: it ended (exit status: 2): no such engine".to_string()));
        let said = worker("kill -9 $$");
        let words = "worker /bin/sh: it ended without a word (signal: 9 (SIGKILL)), expected an answer";
        assert_eq!(said, Err(words.to_string()));
    }
}
