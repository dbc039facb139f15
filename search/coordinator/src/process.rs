//! A worker's process, or the launcher's in front of it: lines in, lines out, and the end of its standard error.

use std::collections::VecDeque;
use std::io::{self, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::de::DeserializeOwned;

use crate::line::FromWorker;
use crate::{Death, Heard, WorkerId};

/// What is kept of a standard error.
const KEPT: usize = 8 << 10;
/// Lines before the hello that a launcher may print.
const NOISE: usize = 1000;
/// How long one that was asked to end may take.
const GRACE: Duration = Duration::from_secs(5);
/// How long its end may take to be heard of.
const HEARD: Duration = Duration::from_secs(1);
/// Between two looks at whether it has ended.
const LOOK: Duration = Duration::from_millis(5);
/// Threads that read lines need little.
const STACK: usize = 256 << 10;

/// What is heard of a worker, and of which.
pub(crate) type Report<A> = (WorkerId, Heard<A>);

pub(crate) struct Process {
    child: Arc<Mutex<Child>>,
    input: Arc<Mutex<Input>>,
    /// It leads a group of its own: what is sent to it reaches all that its launcher started.
    group: bool,
    pid: Pid,
    asked: Option<Instant>,
    /// The end of its standard error.
    tail: Arc<Mutex<VecDeque<u8>>>,
}

/// The pipe to a process.
enum Input {
    Open(ChildStdin),
    /// A long line is on its way.
    Lent,
    Closed,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Process {
    /// Starts a command; what it says goes to `reports`, its end last. `first` is sent to it meanwhile.
    pub(crate) fn start<A: DeserializeOwned + Send + 'static>(
        mut command: Command,
        group: bool,
        first: Option<Arc<str>>,
        who: WorkerId,
        reports: Sender<Report<A>>,
    ) -> Result<Process, String> {
        let program = command.get_program().to_string_lossy().into_owned();
        let name = program.clone();
        let failed = |e: io::Error| format!("{name}: {e}, expected a program");
        if group {
            // Ctrl-C is for this process: the launcher would end its worker on it.
            command.process_group(0);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let gone = || failed(io::ErrorKind::BrokenPipe.into());
        let (pid, input) = (Pid::from_child(&child), child.stdin.take().map_or(Input::Closed, Input::Open));
        let input = Arc::new(Mutex::new(input));
        if let Some(first) = first {
            let input = input.clone();
            thread::Builder::new().stack_size(STACK).spawn(move || send_first(&input, &first)).map_err(failed)?;
        }
        let (output, errors) = (child.stdout.take().ok_or_else(gone)?, child.stderr.take().ok_or_else(gone)?);
        let child = Arc::new(Mutex::new(child));
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let (own, read, waited) = (tail.clone(), tail.clone(), child.clone());
        let errors = thread::Builder::new().stack_size(STACK).spawn(move || keep_tail(errors, &own)).map_err(failed)?;
        let watch = move || {
            let words = listen(BufReader::new(output), who, &reports);
            let status = wait(&waited);
            // The rest of its standard error, unless somebody else holds that open.
            let until = Instant::now() + Duration::from_millis(200);
            while !errors.is_finished() && Instant::now() < until {
                thread::sleep(LOOK);
            }
            let stderr = text(&read);
            let words = words.unwrap_or_else(|| format!("{program} ended ({})", status.as_deref().unwrap_or("lost")));
            // Nobody listens when all is over.
            let _ = reports.send((who, Heard::Ended(Death { words, stderr })));
        };
        thread::Builder::new().stack_size(STACK).spawn(watch).map_err(failed)?;
        Ok(Process { child, input, group, pid, asked: None, tail })
    }

    /// Sends a line. One that is not read is no error here: the end of the process is heard of.
    pub(crate) fn send(&mut self, line: &str) {
        let mut input = locked(&self.input);
        if let Input::Open(pipe) = &mut *input
            && write(pipe, line).is_err()
        {
            *input = Input::Closed;
        }
    }

    /// Ends its input, on which a worker ends.
    pub(crate) fn close(&mut self) {
        *locked(&self.input) = Input::Closed;
        self.asked.get_or_insert_with(Instant::now);
    }

    /// Ends its input and asks it to end by a signal.
    pub(crate) fn end(&mut self) {
        self.close();
        self.signal(Signal::TERM);
    }

    /// Kills it if it was asked to end long ago. Gives its end where that cannot be heard of, because somebody else holds
    /// its output open.
    pub(crate) fn insist(&mut self) -> Option<Death> {
        let since = self.asked?.elapsed();
        if since > GRACE {
            self.signal(Signal::KILL);
        }
        (since > HEARD && self.is_over()).then(|| Death { words: "ended".to_string(), stderr: text(&self.tail) })
    }

    fn signal(&self, signal: Signal) {
        // As long as nobody waited for it, the number is its own.
        let mut child = locked(&self.child);
        if matches!(child.try_wait(), Ok(None)) {
            // One that is gone already need not be told.
            let _ = if self.group { kill_process_group(self.pid, signal) } else { kill_process(self.pid, signal) };
        }
    }

    /// Whether it has ended.
    pub(crate) fn is_over(&self) -> bool {
        !matches!(locked(&self.child).try_wait(), Ok(None))
    }

    /// Ends it now.
    pub(crate) fn kill(&mut self) {
        self.close();
        self.signal(Signal::KILL);
        let _ = locked(&self.child).wait();
    }
}

fn write(pipe: &mut ChildStdin, line: &str) -> io::Result<()> {
    pipe.write_all(line.as_bytes())?;
    pipe.write_all(b"\n")?;
    pipe.flush()
}

/// Sends a line that may take long to be read.
fn send_first(input: &Mutex<Input>, line: &str) {
    let Input::Open(mut pipe) = std::mem::replace(&mut *locked(input), Input::Lent) else { return };
    let sent = write(&mut pipe, line);
    let mut now = locked(input);
    if sent.is_ok() && matches!(*now, Input::Lent) {
        *now = Input::Open(pipe);
    }
}

/// Passes on what a worker says; gives what is wrong with it, if something is.
fn listen<A: DeserializeOwned>(output: impl io::BufRead, who: WorkerId, reports: &Sender<Report<A>>) -> Option<String> {
    let (mut greeted, mut noise) = (false, 0);
    for line in output.lines() {
        let line = match line {
            Ok(line) => line,
            Err(e) => return Some(format!("its answers cannot be read: {e}")),
        };
        let heard = match serde_json::from_str(&line) {
            Ok(FromWorker::Hello(hello)) => {
                greeted = true;
                Heard::Hello(hello)
            }
            Ok(FromWorker::Beat {}) => Heard::Beat,
            Ok(FromWorker::Answer { job, result }) => Heard::Answer { job, result },
            Ok(FromWorker::Back { job }) => Heard::Back { job },
            // A launcher may greet the user, or warn.
            Err(_) if !greeted && noise < NOISE => {
                noise += 1;
                continue;
            }
            Err(_) => {
                let found: String = line.chars().take(200).collect();
                return Some(format!("it said {found:?}, expected an answer"));
            }
        };
        if reports.send((who, heard)).is_err() {
            return None;
        }
    }
    None
}

/// Waits for the end of a process without keeping others from sending it signals.
fn wait(child: &Mutex<Child>) -> Option<String> {
    loop {
        match locked(child).try_wait() {
            Ok(Some(status)) => return Some(status.to_string()),
            Ok(None) => {}
            Err(_) => return None,
        }
        thread::sleep(LOOK);
    }
}

fn text(tail: &Mutex<VecDeque<u8>>) -> String {
    String::from_utf8_lossy(locked(tail).make_contiguous()).into_owned()
}

fn keep_tail(mut errors: impl Read, tail: &Mutex<VecDeque<u8>>) {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = errors.read(&mut buffer) {
        let mut tail = locked(tail);
        tail.extend(&buffer[..n]);
        let over = tail.len().saturating_sub(KEPT);
        tail.drain(..over);
    }
}
