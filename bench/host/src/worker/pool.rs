//! Several workers and a list of jobs: each worker takes the next one; answers come back in the list's order.

use std::collections::BTreeMap;
use std::io;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Worker;

type Make = dyn Fn() -> io::Result<Command> + Send + Sync;

/// Workers, started when they are first needed and kept from list to list.
pub struct Pool {
    make: Box<Make>,
    slots: Vec<Slot>,
    retries: u32,
    ends: bool,
}

/// A worker's place.
#[derive(Default)]
struct Slot {
    worker: Option<Worker>,
    /// Its process; 0 for none.
    process: AtomicI32,
}

impl Pool {
    /// So many workers, each started by a command; a job that failed is tried again at most `retries` times.
    pub fn new(workers: usize, retries: u32, make: impl Fn() -> io::Result<Command> + Send + Sync + 'static) -> Pool {
        let slots = (0..workers.max(1)).map(|_| Slot::default()).collect();
        Pool { make: Box::new(make), slots, retries, ends: false }
    }

    /// Workers that are at work when no more is wanted are asked to end, by SIGTERM: their jobs are long.
    pub fn ending(self) -> Pool {
        Pool { ends: true, ..self }
    }

    /// Has jobs done while `go_on`, and gives each answer to `done`, in the order of the jobs: a result, or why there
    /// is none, in words. Jobs that were begun are finished; those that were not are left out.
    ///
    /// # Errors
    /// The first error of `done`; what is under way is then finished and dropped.
    pub fn run<J: Serialize + Sync, A: DeserializeOwned + Send, E>(
        &mut self,
        jobs: &[J],
        go_on: impl Fn() -> bool + Sync,
        mut done: impl FnMut(usize, Result<A, String>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (next, halt) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (make, retries, ends, over) = (self.make.as_ref(), self.retries, self.ends, AtomicBool::new(false));
        // Workers run ahead of `done` by no more than an answer each.
        let (send, receive) = mpsc::sync_channel(self.slots.len());
        let mut end = Ok(());
        thread::scope(|s| {
            let mut processes = Vec::new();
            for Slot { worker, process } in self.slots.iter_mut().take(jobs.len()) {
                let (send, next, halt, go_on, process) = (send.clone(), &next, &halt, &go_on, &*process);
                processes.push(process);
                s.spawn(move || {
                    while !halt.load(Ordering::SeqCst) && go_on() {
                        let i = next.fetch_add(1, Ordering::SeqCst);
                        let Some(job) = jobs.get(i) else { break };
                        if send.send((i, insist(worker, process, job, retries, make))).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(send);
            if ends {
                let (over, halt, go_on) = (&over, &halt, &go_on);
                s.spawn(move || {
                    while !over.load(Ordering::SeqCst) {
                        if halt.load(Ordering::SeqCst) || !go_on() {
                            processes.iter().for_each(|p| ask_to_end(p));
                            break;
                        }
                        thread::sleep(WATCH);
                    }
                });
            }
            let (mut early, mut first) = (BTreeMap::new(), 0);
            for (i, answer) in receive {
                early.insert(i, answer);
                while end.is_ok() {
                    let Some(answer) = early.remove(&first) else { break };
                    end = done(first, answer);
                    first += 1;
                    if end.is_err() {
                        halt.store(true, Ordering::SeqCst);
                    }
                }
            }
            over.store(true, Ordering::SeqCst);
        });
        end
    }
}

/// Between two looks at whether more is wanted.
const WATCH: Duration = Duration::from_millis(50);

/// Asks a process to end, if there is one.
fn ask_to_end(process: &AtomicI32) {
    if let Some(pid) = Pid::from_raw(process.load(Ordering::SeqCst)) {
        // One that is gone already need not be asked.
        let _ = kill_process(pid, Signal::TERM);
    }
}

/// Has a job done by the worker of a slot, or by a new one where it died. Workers answer with a `Result`.
fn insist<A: DeserializeOwned>(
    slot: &mut Option<Worker>,
    process: &AtomicI32,
    job: &impl Serialize,
    retries: u32,
    make: &Make,
) -> Result<A, String> {
    let request = serde_json::to_string(job).map_err(|e| e.to_string())?;
    let mut why = String::new();
    for _ in 0..=retries {
        let started = || make().map_err(|e| e.to_string()).and_then(|c| Worker::start(c).map_err(|e| e.to_string()));
        let worker = match slot.take().map_or_else(started, Ok) {
            Ok(worker) => slot.insert(worker),
            Err(e) => {
                why = format!("no worker could be started: {e}");
                continue;
            }
        };
        process.store(worker.process().as_raw_nonzero().get(), Ordering::SeqCst);
        match worker.ask::<Result<A, String>>(&request, None, "the result of a job") {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(reason)) => why = reason,
            Err(e) => {
                process.store(0, Ordering::SeqCst);
                *slot = None;
                why = e.to_string();
            }
        }
    }
    Err(if retries > 0 { format!("{why} (tried {} times)", retries + 1) } else { why })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    type Answer = Result<u32, String>;

    /// A worker that runs a script for each number it reads, which is in `$k`.
    fn pool(workers: usize, retries: u32, script: &str) -> Pool {
        let script = format!("while read -r k; do {script}; done");
        Pool::new(workers, retries, move || {
            let mut c = Command::new("sh");
            c.args(["-c", &script]);
            Ok(c)
        })
    }

    const ECHO: &str = r#"echo "{\"Ok\":$k}""#;

    fn run(mut pool: Pool, n: u32, stop_after: usize) -> Vec<(usize, Answer)> {
        let (mut all, count) = (Vec::new(), AtomicUsize::new(0));
        let go_on = || count.load(Ordering::SeqCst) < stop_after;
        let done = |i, answer| -> Result<(), ()> {
            count.fetch_add(1, Ordering::SeqCst);
            all.push((i, answer));
            Ok(())
        };
        pool.run(&(0..n).collect::<Vec<_>>(), go_on, done).unwrap();
        all
    }

    fn value(k: usize) -> Answer {
        Ok(k as u32)
    }

    #[test]
    fn answers_come_in_order_however_many_work_and_however_long_each_takes() {
        for workers in [1, 2, 3, 9] {
            let slow = format!("[ $((k % 3)) = 0 ] && sleep 0.05; {ECHO}");
            let all = run(pool(workers, 0, &slow), 8, usize::MAX);
            assert_eq!(all, (0..8).map(|k| (k, value(k))).collect::<Vec<_>>(), "{workers} workers");
        }
    }

    #[test]
    fn one_that_dies_is_a_failed_job_and_another_goes_on() {
        let all = run(pool(2, 0, &format!("[ $k = 3 ] && kill -9 $$; {ECHO}")), 6, usize::MAX);
        for (k, answer) in all {
            match answer {
                Err(why) if k == 3 => assert_eq!(why, "sh ended (signal: 9 (SIGKILL))"),
                answer => assert_eq!(answer, value(k)),
            }
        }
    }

    #[test]
    fn a_job_is_tried_again_as_often_as_allowed_by_new_workers() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let tries = || std::fs::read_to_string(&log).unwrap().lines().count();
        // Dies at the first two tries of job 1.
        let script =
            format!("if [ $k = 1 ]; then echo x >> {0}; [ $(wc -l < {0}) -lt 3 ] && exit 7; fi; {ECHO}", log.display());
        let all = run(pool(1, 2, &script), 3, usize::MAX);
        assert_eq!((all, tries()), ((0..3).map(|k| (k, value(k))).collect::<Vec<_>>(), 3));
        std::fs::remove_file(&log).unwrap();
        let all = run(pool(1, 1, &script), 3, usize::MAX);
        assert_eq!(all[1].1, Err("sh ended (exit status: 7) (tried 2 times)".to_string()));
        assert_eq!((&all[2].1, tries()), (&value(2), 2));
    }

    #[test]
    fn what_was_begun_is_finished_and_the_rest_left_out() {
        let all = run(pool(2, 0, &format!("sleep 0.03; {ECHO}")), 100, 5);
        assert!(all.len() >= 5 && all.len() < 100, "{}", all.len());
        assert!(all.iter().enumerate().all(|(k, (i, answer))| k == *i && *answer == value(k)));
    }

    #[test]
    fn long_jobs_are_asked_to_end() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let end = "kill $! 2>/dev/null; exit 143";
        let script = format!("trap '{end}' TERM; echo $k >> {}; sleep 600 >/dev/null & wait $!", log.display());
        let (mut pool, mut all) = (pool(2, 0, &script).ending(), Vec::new());
        // No more is wanted as soon as both are at work.
        let go_on = || std::fs::read_to_string(&log).unwrap_or_default().lines().count() < 2;
        let done = |i, answer| -> Result<(), ()> {
            all.push((i, answer));
            Ok(())
        };
        pool.run(&[0, 1, 2, 3, 4], go_on, done).unwrap();
        let ended: Answer = Err("sh ended (exit status: 143)".to_string());
        assert_eq!(all, [(0, ended.clone()), (1, ended)]);
    }

    #[test]
    fn rubbish_and_a_command_that_does_not_start_are_told() {
        let all = run(pool(1, 0, "echo rubbish"), 1, usize::MAX);
        assert!(matches!(&all[0].1, Err(why) if why == "sh answered \"rubbish\", expected the result of a job"));
        let none = Pool::new(1, 0, || Ok(Command::new("/no/such/program")));
        let all = run(none, 1, usize::MAX);
        assert!(matches!(&all[0].1, Err(why) if why.starts_with("no worker could be started")));
    }
}
