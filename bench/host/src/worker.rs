//! Worker processes: requests go to a child's standard input and answers come from its standard output, one line each.
//!
//! libtorch's threads belong to a whole process, so what needs its own number of threads, cores or memory is a process
//! of its own. [`Worker`] is the asking side, [`serve`] the answering one.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a worker gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// It could not be started.
    #[error("{program}: {source}, expected a program")]
    Start {
        /// What was started.
        program: String,
        /// What the system says.
        source: io::Error,
    },
    /// It ended before it answered.
    #[error("{program} ended ({status}){}{words}", if words.is_empty() { "" } else { ": " })]
    Ended {
        /// What was started.
        program: String,
        /// How it ended, in words.
        status: String,
        /// The last line of its standard error, if that was captured.
        words: String,
    },
    /// It did not answer in time.
    #[error("{program} gave no answer in {seconds} s")]
    Silent {
        /// What was started.
        program: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// Its answer is none.
    #[error("{program} answered {found:?}, expected {expected}")]
    Answer {
        /// What was started.
        program: String,
        /// The line.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
}

/// A running worker. Dropping it ends its input, and then the process.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    answers: Receiver<io::Result<String>>,
    /// The last line of its captured standard error, once it has ended.
    words: Option<JoinHandle<String>>,
    program: String,
}

/// How long a worker may take to end after its input has ended.
const TO_END: Duration = Duration::from_millis(100);
/// How long one may take to end that has closed its output by itself.
const ENDING: Duration = Duration::from_secs(10);
/// Between two looks at whether it has ended.
const LOOK: Duration = Duration::from_millis(5);

impl Worker {
    /// Starts a process. Its standard error is ours, or captured if the command says [`Stdio::piped`].
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(mut command: Command) -> Result<Worker, WorkerError> {
        let program = command.get_program().to_string_lossy().into_owned();
        let start = |source| WorkerError::Start { program: program.clone(), source };
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(start)?;
        let output = child.stdout.take().ok_or_else(|| start(io::ErrorKind::BrokenPipe.into()))?;
        let (send, answers) = channel();
        std::thread::spawn(move || BufReader::new(output).lines().try_for_each(|line| send.send(line)));
        let last_line = |errors| {
            let lines = BufReader::new(errors).lines().map_while(Result::ok);
            lines.filter(|l| !l.trim().is_empty()).last().unwrap_or_default()
        };
        let words = child.stderr.take().map(|errors| std::thread::spawn(move || last_line(errors)));
        Ok(Worker { input: child.stdin.take(), child, answers, words, program })
    }

    /// Sends one line and waits for the answer.
    ///
    /// # Errors
    /// When it ends, takes longer than `patience`, or answers something else than `expected`.
    pub fn ask<A: DeserializeOwned>(
        &mut self,
        request: &str,
        patience: Option<Duration>,
        expected: &'static str,
    ) -> Result<A, WorkerError> {
        let sent = self.input.as_mut().map(|pipe| writeln!(pipe, "{request}").and_then(|()| pipe.flush()));
        if !matches!(sent, Some(Ok(()))) {
            return Err(self.ended());
        }
        self.answer(patience, expected)
    }

    /// Waits for a line that was not asked for, as a worker's first.
    ///
    /// # Errors
    /// As for [`Worker::ask`].
    pub fn answer<A: DeserializeOwned>(
        &mut self,
        patience: Option<Duration>,
        expected: &'static str,
    ) -> Result<A, WorkerError> {
        let line = match patience {
            Some(patience) => self.answers.recv_timeout(patience),
            None => self.answers.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let program = || self.program.clone();
        match line {
            Ok(Ok(line)) => serde_json::from_str(&line).map_err(|_| {
                let found = line.chars().take(200).collect();
                WorkerError::Answer { program: program(), found, expected }
            }),
            Ok(Err(e)) => Err(WorkerError::Answer { program: program(), found: e.to_string(), expected }),
            Err(RecvTimeoutError::Timeout) => {
                Err(WorkerError::Silent { program: program(), seconds: patience.unwrap_or_default().as_secs() })
            }
            Err(RecvTimeoutError::Disconnected) => Err(self.ended()),
        }
    }

    /// Ends its input and waits; one that goes on is killed.
    fn end(&mut self, wait: Duration) -> Option<ExitStatus> {
        self.input = None;
        for _ in 0..wait.div_duration_f64(LOOK) as u32 {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(LOOK);
        }
        let _ = self.child.kill();
        self.child.wait().ok()
    }

    /// That it ended although it was to answer.
    fn ended(&mut self) -> WorkerError {
        let status = self.end(ENDING).map(|s| s.to_string()).unwrap_or_default();
        let words = self.words.take().and_then(|w| w.join().ok()).unwrap_or_default();
        let words = words.strip_prefix("error: ").unwrap_or(&words).trim().to_string();
        WorkerError::Ended { program: self.program.clone(), status, words }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end(TO_END);
    }
}

/// The answering side: `work` answers each line of standard input until there are no more, or it gives none. False if
/// it gave none.
///
/// # Errors
/// That of `work`, or when the asking program is gone.
pub fn serve<A: Serialize, E: From<io::Error>>(mut work: impl FnMut(&str) -> Result<Option<A>, E>) -> Result<bool, E> {
    for line in io::stdin().lock().lines() {
        let Some(answer) = work(line?.trim())? else { return Ok(false) };
        say(&answer)?;
    }
    Ok(true)
}

/// Says one line that nobody asked for, as a worker's first.
///
/// # Errors
/// When the asking program is gone.
pub fn say(answer: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(answer)?)?;
    out.flush()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stderr(Stdio::piped());
        command
    }

    fn said(script: &str, patience: Option<Duration>) -> String {
        Worker::start(shell(script)).unwrap().ask::<u32>("job", patience, "a number").unwrap_err().to_string()
    }

    #[test]
    fn one_that_gives_no_answer_is_named_with_its_reason() {
        let ended = "read line; echo first >&2; echo 'error: no such engine' >&2; exit 2";
        assert_eq!(said(ended, None), "/bin/sh ended (exit status: 2): no such engine");
        assert_eq!(said("kill -9 $$", None), "/bin/sh ended (signal: 9 (SIGKILL))");
        assert_eq!(said("read line; echo rubbish", None), "/bin/sh answered \"rubbish\", expected a number");
        assert_eq!(said("read line; read line", Some(Duration::from_millis(1))), "/bin/sh gave no answer in 0 s");
        let error = Worker::start(Command::new("/no/such/program")).unwrap_err().to_string();
        assert_eq!(error, "/no/such/program: No such file or directory (os error 2), expected a program");
    }

    #[test]
    fn a_first_line_and_answers_come_in_order() {
        let mut worker = Worker::start(shell("echo 7; while read n; do echo $((n + 1)); done")).unwrap();
        assert_eq!(worker.answer::<u32>(None, "a number").unwrap(), 7);
        for n in [1u32, 41] {
            assert_eq!(worker.ask::<u32>(&n.to_string(), None, "a number").unwrap(), n + 1);
        }
    }
}
