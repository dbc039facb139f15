//! Runs a command to its end, or until it has taken too long or the user asks to stop. Then its whole process group is
//! killed: a shell's children would go on without it.

use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mobilenas_host::{Stop, printable};
use rustix::process::{Pid, Signal, kill_process_group};

/// Bytes that are kept of an output: the last ones, where programs print their times.
const KEPT: usize = 1 << 20;
/// Between two looks at a process.
const LOOK: Duration = Duration::from_millis(5);
/// How long output is waited for after the end: a daemon that the command began may keep the pipe open.
const REST: Duration = Duration::from_secs(1);

/// What a command said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// How it ended, in words.
    pub status: String,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Said {
    /// The last line of standard error, or else of standard output.
    pub fn last_line(&self) -> String {
        let last = |text: &str| text.lines().rev().map(str::trim).find(|l| !l.is_empty()).map(printable);
        last(&self.stderr).or_else(|| last(&self.stdout)).unwrap_or_default()
    }
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself.
    Said(Said),
    /// It took too long.
    Silent,
    /// The user asked to stop.
    Stopped,
}

/// Runs a command. Its standard input is empty unless the command says otherwise.
///
/// # Errors
/// When it does not start.
pub fn run(mut command: Command, timeout: Duration, stop: &Stop) -> io::Result<Ended> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn()?;
    let (stdout, stderr) = (child.stdout.take().map(collect), child.stderr.take().map(collect));
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        let late = begin.elapsed() >= timeout;
        if late || stop.asked() {
            kill(&mut child);
            return Ok(if late { Ended::Silent } else { Ended::Stopped });
        }
        std::thread::sleep(LOOK);
    };
    let text = |from: Option<Collected>| from.map(|c| c.text()).unwrap_or_default();
    Ok(Ended::Said(Said {
        code: status.code(),
        status: status.to_string(),
        stdout: text(stdout),
        stderr: text(stderr),
    }))
}

fn kill(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended just now.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// An output under way.
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    end: Receiver<()>,
}

impl Collected {
    fn text(self) -> String {
        let _ = self.end.recv_timeout(REST);
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn collect(mut from: impl Read + Send + 'static) -> Collected {
    let (bytes, (told, end)) = (Arc::new(Mutex::new(Vec::new())), channel());
    let own = bytes.clone();
    std::thread::spawn(move || {
        let mut part = [0; 8192];
        loop {
            let n = match from.read(&mut part) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            let mut all = own.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend_from_slice(&part[..n]);
            if all.len() > 2 * KEPT {
                let over = all.len() - KEPT;
                all.drain(..over);
            }
        }
        let _ = told.send(());
    });
    Collected { bytes, end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::here;

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn output_and_status_are_told() {
        let Ended::Said(said) = run(here("echo a; echo b >&2; exit 3"), LONG, &Stop::never()).unwrap() else {
            panic!("it ended by itself");
        };
        assert_eq!((said.code, said.stdout.as_str(), said.stderr.as_str()), (Some(3), "a\n", "b\n"));
        assert_eq!((said.status.as_str(), said.last_line().as_str()), ("exit status: 3", "b"));
    }

    #[test]
    fn one_that_does_not_end_is_killed_with_its_children() {
        let line = "sleep 1000 & sleep 1000";
        assert_eq!(run(here(line), Duration::ZERO, &Stop::never()).unwrap(), Ended::Silent);
        let stop = Stop::never();
        stop.ask();
        assert_eq!(run(here(line), LONG, &stop).unwrap(), Ended::Stopped);
    }

    #[test]
    fn of_a_flood_the_end_is_kept() {
        let line = "head -c 5000000 /dev/zero | tr '\\0' x; echo; echo 4.5";
        let Ended::Said(said) = run(here(line), LONG, &Stop::never()).unwrap() else { panic!("it ended by itself") };
        assert!(said.stdout.len() <= 2 * KEPT && said.stdout.ends_with("x\n4.5\n"), "{}", said.stdout.len());
    }
}
