//! Workers over ssh and Slurm, with servers of both on this machine: `cargo xtask test --cluster`. The workers are
//! `echo_worker`, which speaks as those of searches do.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mobilenas_coordinator::settings::{Launch, Named, Preset, Slurm, Workers};
use mobilenas_coordinator::{Failure, Hello, Needs, Pool, PoolConfig, PoolError, Rules};

/// A cluster on this machine.
struct Cluster {
    dir: PathBuf,
}

impl Cluster {
    fn up() -> Rc<Cluster> {
        let dir = tempfile::Builder::new().prefix("cluster").tempdir().unwrap().keep();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/up.sh");
        let out = Command::new("sh").arg(script).arg(&dir).arg("1691").output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        Rc::new(Cluster { dir })
    }

    /// A command of this cluster.
    fn command(&self, words: &[&str]) -> Command {
        let mut c = Command::new("sh");
        c.args(["-c", &format!(". {}/env; exec \"$@\"", self.dir.display()), "sh"]).args(words);
        c
    }

    fn run(&self, words: &[&str]) -> String {
        let out = self.command(words).output().unwrap();
        let text = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
        assert!(out.status.success(), "{words:?}: {text}");
        text
    }

    /// Workers by a preset; in an allocation, if one is given.
    fn pool(self: &Rc<Cluster>, launch: Launch, count: usize, job: Option<String>) -> Pool<u64> {
        let own = self.clone();
        let workers = Workers { launch: Some(launch), count: Some(count), ..Workers::default() };
        Pool::new(PoolConfig {
            rules: Rules { retries: 0, ..Rules::default() },
            expected: Hello::default(),
            workers: workers.count(),
            first: None,
            launched: true,
            stops: false,
            room: None,
            say: Box::new(|text| println!("{text}")),
            make: Box::new(move |who| {
                let needs = Needs { threads: 1, gpu: false };
                let words = workers.command(who, Path::new(env!("CARGO_BIN_EXE_echo_worker")), &[], needs);
                let mut c = own.command(&[]);
                c.arg(words.get_program()).args(words.get_args());
                if let Some(job) = &job {
                    c.env("SLURM_JOB_ID", job);
                }
                Ok(c)
            }),
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let ended = Command::new("sh").arg(self.dir.join("down.sh")).status();
        assert!(ended.is_ok_and(|s| s.success()));
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn ssh() -> Launch {
    Launch::Preset(Preset { ssh: Some(vec!["localhost".to_string(), "127.0.0.1".to_string()]), ..Preset::default() })
}

/// Has so many jobs done and checks every answer; `during` is called with the number of answers so far.
fn all_done(pool: &mut Pool<u64>, n: u64, seconds: f64, mut during: impl FnMut(u64)) {
    let jobs: Vec<(f64, u64)> = (0..n).map(|k| (seconds, 1000 + k)).collect();
    let mut count = 0;
    let done = |i: usize, answer: Result<u64, Failure>| -> Result<(), PoolError> {
        assert_eq!((i as u64, answer), (count, Ok(1000 + count)));
        count += 1;
        during(count);
        Ok(())
    };
    pool.run(&jobs, || true, done).unwrap();
    assert_eq!(count, n);
}

/// Processes of the workers.
fn workers() -> Vec<u32> {
    let out = Command::new("pgrep").args(["-f", env!("CARGO_BIN_EXE_echo_worker")]).output().unwrap();
    let pids = String::from_utf8(out.stdout).unwrap();
    let exe = |pid: &u32| std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    pids.lines().filter_map(|l| l.parse().ok()).filter(|pid| exe(pid).ends_with("echo_worker")).collect()
}

#[test]
#[ignore = "needs ssh and Slurm servers"]
fn cluster_everything() {
    let cluster = Cluster::up();
    over_ssh(&cluster);
    steps_of_an_allocation(&cluster);
    allocations_of_their_own(&cluster);
    out_of_time(&cluster);
}

fn over_ssh(cluster: &Rc<Cluster>) {
    let mut pool = cluster.pool(ssh(), 3, None);
    all_done(&mut pool, 40, 0.05, |_| {});
    // Workers that are killed, and connections that are cut.
    let mut killed = 0;
    all_done(&mut pool, 60, 0.1, |n| {
        if n % 20 == 10 {
            let victim = workers()[0].to_string();
            killed += u32::from(Command::new("kill").args(["-9", &victim]).status().unwrap().success());
        }
    });
    assert_eq!(killed, 3);
    drop(pool);
    assert!(workers().is_empty(), "workers are left");
    let wrong = Preset { ssh: Some(vec!["no-such-host.invalid".to_string()]), ..Preset::default() };
    let begin = Instant::now();
    let mut pool = cluster.pool(Launch::Preset(wrong), 1, None);
    let error = pool.run(&[(0.1, 1)], || true, |_, _| Ok::<(), PoolError>(())).unwrap_err().to_string();
    assert!(error.contains("no-such-host.invalid"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(70));
}

fn steps_of_an_allocation(cluster: &Rc<Cluster>) {
    let told = cluster.run(&["salloc", "--no-shell", "--nodes=2", "--ntasks=4"]);
    let job = told.split_whitespace().find(|w| w.parse::<u64>().is_ok()).unwrap().to_string();
    // Six workers for four cores: two wait in Slurm's queue.
    let mut pool = cluster.pool(Launch::Named(Named::Slurm), 6, Some(job.clone()));
    all_done(&mut pool, 60, 0.1, |_| {});
    let steps = cluster.run(&["squeue", "--steps", "--noheader", "--format=%i %N"]);
    assert!(steps.lines().count() >= 4 && steps.contains("n1") && steps.contains("n2"), "{steps}");
    // Steps that are cancelled are pre-empted: their jobs are handed back, and nobody is blamed.
    let steps = || -> Vec<String> {
        let all = cluster.run(&["squeue", "--steps", "--noheader", "--format=%i"]);
        let number = |s: &&str| s.split('.').nth(1).is_some_and(|n| n.parse::<u32>().is_ok());
        all.lines().map(str::trim).filter(number).map(str::to_string).collect()
    };
    let mut cancelled = Vec::new();
    all_done(&mut pool, 60, 0.2, |n| {
        if n % 15 == 5 {
            let signal = if n % 30 == 5 { "--signal=USR1" } else { "--signal=TERM" };
            let step = steps().remove(0);
            // Some versions deliver the signal and report an error.
            cluster.command(&["scancel", signal, &step]).output().unwrap();
            cancelled.push(step);
        }
    });
    assert!(cancelled.len() == 4 && !steps().iter().any(|s| cancelled.contains(s)), "{cancelled:?} {:?}", steps());
    // The whole allocation goes; the workers wait for another, which never comes, and the user gives up.
    cluster.run(&["scancel", &job]);
    let begin = Instant::now();
    let jobs: Vec<(f64, u64)> = vec![(0.1, 1); 3];
    pool.run(&jobs, || begin.elapsed() < Duration::from_secs(8), |_, _| Ok::<(), PoolError>(())).unwrap();
    assert!(begin.elapsed() < Duration::from_secs(20));
}

fn allocations_of_their_own(cluster: &Rc<Cluster>) {
    let slurm = Slurm { args: vec!["--job-name=nas".to_string()] };
    let launch = || Launch::Preset(Preset { slurm: Some(slurm.clone()), ..Preset::default() });
    let mut pool = cluster.pool(launch(), 3, None);
    all_done(&mut pool, 30, 0.1, |n| {
        if n == 10 {
            cluster.run(&["scancel", "--name=nas"]);
        }
    });
    drop(pool);
    let left = || cluster.run(&["squeue", "--noheader", "--name=nas"]);
    let begin = Instant::now();
    while !left().trim().is_empty() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{}", left());
        std::thread::sleep(Duration::from_millis(200));
    }
    let wrong = Slurm { args: vec!["--partition=none".to_string()] };
    let mut pool = cluster.pool(Launch::Preset(Preset { slurm: Some(wrong), ..Preset::default() }), 1, None);
    let error = pool.run(&[(0.1, 1)], || true, |_, _| Ok::<(), PoolError>(())).unwrap_err().to_string();
    assert!(error.contains("invalid partition"), "{error}");
}

/// A job's time limit, of a minute at least, in the midst of a long job.
fn out_of_time(cluster: &Rc<Cluster>) {
    let slurm = Slurm { args: vec!["--time=1".to_string(), "--job-name=short".to_string()] };
    let mut pool = cluster.pool(Launch::Preset(Preset { slurm: Some(slurm), ..Preset::default() }), 2, None);
    let begin = Instant::now();
    // Two at a time for 50 s each. Slurm looks at time limits every 30 s, so the second of each worker is cut off.
    all_done(&mut pool, 4, 50.0, |_| {});
    let took = begin.elapsed();
    assert!(took > Duration::from_secs(105), "no limit came in between: {took:?}");
}
