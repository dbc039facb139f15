//! The worker's side: jobs in, answers out, signs of life in between, and a job handed back when its machine asks it to
//! end.

use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use mobilenas_host::Stop;
use serde::Serialize;
use serde::de::DeserializeOwned;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use crate::Hello;
use crate::line::{FromWorker, ToWorker};

/// Exit code of one that was asked to end in the midst of its work.
pub const STOPPED: i32 = 143;

/// Between two signs of life.
const BEAT: Duration = Duration::from_secs(10);
/// How many beats one waits for a first word: half an hour. A launcher that is killed while its worker waits in a queue
/// may leave one that nobody talks to, and whose input does not end.
const PATIENCE: u32 = 180;
/// How long work that can leave off may take to do so.
const GRACE: Duration = Duration::from_secs(20);

/// Why a worker ends early.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The pipes, or the system.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Something else came first than what was to come.
    #[error("standard input says {found:?}, expected {expected}")]
    Line {
        /// The beginning of the line.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
}

/// A worker that listens.
#[derive(Debug)]
pub struct Serving {
    lines: Receiver<String>,
    shared: Arc<Mutex<Shared>>,
    stop: Stop,
}

#[derive(Debug, Default)]
struct Shared {
    /// The job at hand.
    job: Option<u64>,
    /// Said again until the first line comes: some launchers lose what is said before they listen.
    hello: Option<Hello>,
    /// Whether a line has come.
    heard: bool,
    /// Whether it was asked to end.
    asked: bool,
    /// Where the files of a run are.
    unpacked: Option<PathBuf>,
}

fn locked(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn say(line: &FromWorker<()>) -> io::Result<()> {
    mobilenas_host::worker::say(line)
}

/// Ends at once, without what libtorch does at a program's end: its threads are still at work, and it would crash.
fn exit(code: i32) -> ! {
    signal_hook::low_level::exit(code)
}

/// Hands back the job at hand, and ends.
fn hand_back(shared: &mut Shared) -> ! {
    if let Some(job) = shared.job.take() {
        // Whoever asked may be gone.
        let _ = say(&FromWorker::Back { job });
    }
    if let Some(folder) = &shared.unpacked {
        // It is gone already once the files were read.
        let _ = std::fs::remove_dir_all(folder);
    }
    exit(STOPPED)
}

impl Serving {
    /// Listens to standard input and to signals: SIGTERM and SIGUSR1 are a machine that asks it to end. Work that looks at
    /// [`Serving::stop`] leaves off by itself; else the job is handed back at once.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn start(leaves_off: bool) -> io::Result<Serving> {
        let (send, lines) = channel();
        let (shared, stop) = (Arc::new(Mutex::new(Shared::default())), Stop::never());
        let ask = {
            let (shared, stop) = (shared.clone(), stop.clone());
            move || {
                let mut now = locked(&shared);
                // Signals and the end of the input may come together: the first one counts.
                if now.asked {
                    return;
                }
                if !leaves_off || now.job.is_none() {
                    hand_back(&mut now);
                }
                now.asked = true;
                stop.ask();
                let shared = shared.clone();
                thread::spawn(move || {
                    thread::sleep(GRACE);
                    hand_back(&mut locked(&shared));
                });
            }
        };
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGUSR1])?;
        let asked = ask.clone();
        thread::spawn(move || {
            for signal in signals.forever() {
                // Ctrl-C reaches the whole group of processes; the asking program decides what happens then.
                if signal != SIGINT {
                    asked();
                }
            }
        });
        let own = shared.clone();
        thread::spawn(move || {
            for line in io::stdin().lock().lines().map_while(Result::ok) {
                {
                    let mut now = locked(&own);
                    (now.hello, now.heard) = (None, true);
                }
                match serde_json::from_str(&line) {
                    Ok(ToWorker::<serde::de::IgnoredAny>::Stop {}) => ask(),
                    Ok(ToWorker::Welcome {}) => {}
                    _ => {
                        if send.send(line).is_err() {
                            return;
                        }
                    }
                }
            }
            drop(send);
            // The asking program is gone or wants no more. Without a job the work loop ends by itself.
            if locked(&own).job.is_some() {
                ask();
            }
        });
        let beating = shared.clone();
        thread::spawn(move || {
            let mut unheard = 0;
            loop {
                thread::sleep(BEAT);
                let mut now = locked(&beating);
                unheard += u32::from(!now.heard);
                if unheard == PATIENCE {
                    hand_back(&mut now);
                }
                let said = match (&now.job, &now.hello) {
                    (Some(_), _) => say(&FromWorker::Beat {}),
                    (None, Some(hello)) => say(&FromWorker::Hello(hello.clone())),
                    (None, None) => Ok(()),
                };
                if said.is_err() {
                    exit(STOPPED);
                }
            }
        });
        Ok(Serving { lines, shared, stop })
    }

    /// Whether work should leave off.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Takes the files of a run that come first, and writes them into a folder, which is removed if this worker has to end.
    ///
    /// # Errors
    /// When something else comes, or the disk refuses.
    pub fn unpack(&self, folder: &Path) -> Result<(), ServeError> {
        let line = self.lines.recv().map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        match serde_json::from_str::<ToWorker<serde::de::IgnoredAny>>(&line) {
            Ok(ToWorker::Run(files)) => {
                locked(&self.shared).unpacked = Some(folder.to_path_buf());
                Ok(files.write(folder)?)
            }
            _ => Err(ServeError::Line { found: line.chars().take(80).collect(), expected: "the files of a run" }),
        }
    }

    /// Says hello, and answers jobs until there are no more, or one is left off. False if one was. A job that cannot be
    /// read is answered so.
    ///
    /// # Errors
    /// When the asking program is gone.
    pub fn answer_all<J: DeserializeOwned, A: Serialize>(
        &self,
        hello: &Hello,
        mut work: impl FnMut(&J) -> Option<Result<A, String>>,
    ) -> Result<bool, ServeError> {
        {
            let mut now = locked(&self.shared);
            say(&FromWorker::Hello(hello.clone()))?;
            now.hello = Some(hello.clone());
        }
        for line in &self.lines {
            let (number, result) = match serde_json::from_str::<ToWorker<serde_json::Value>>(&line) {
                Ok(ToWorker::Job { number, work: wanted, .. }) => {
                    locked(&self.shared).job = Some(number);
                    match J::deserialize(&wanted) {
                        Ok(job) => (number, work(&job)),
                        Err(e) => (number, Some(Err(format!("the job cannot be read: {e}")))),
                    }
                }
                _ => {
                    let found = line.chars().take(80).collect();
                    return Err(ServeError::Line { found, expected: "a job" });
                }
            };
            let mut now = locked(&self.shared);
            now.job = None;
            let Some(result) = result else {
                // Whoever asked may be gone.
                let _ = say(&FromWorker::Back { job: number });
                return Ok(false);
            };
            let mut out = io::stdout().lock();
            let answer = FromWorker::Answer { job: number, result };
            writeln!(out, "{}", serde_json::to_string(&answer).map_err(io::Error::from)?)?;
            out.flush()?;
            if now.asked {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
