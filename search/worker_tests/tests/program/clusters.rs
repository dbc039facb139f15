//! Searches of the program over ssh and Slurm, with servers of both on this machine: `cargo xtask test --cluster`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::common::{comparable, program_file, program_with_data, rows_of, said, start_on_ranks, wait_for};
use crate::workers::{CONFIG, alone, assert_same, search, tiny};

/// A cluster on this machine, which is made and ended by the scripts of the coordinator's own tests.
struct Cluster {
    dir: TempDir,
    _one: MutexGuard<'static, ()>,
}

impl Cluster {
    fn up() -> Cluster {
        // One at a time: the tests of this program have the same ports.
        static ONE: Mutex<()> = Mutex::new(());
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = TempDir::new().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../coordinator/tests/cluster/up.sh");
        let out = Command::new("sh").arg(script).arg(dir.path()).arg("1693").output().unwrap();
        assert!(out.status.success(), "{}", said(&out));
        Cluster { dir, _one: one }
    }

    /// A command of this cluster, in a folder.
    fn command(&self, folder: &Path, words: &[&str]) -> Command {
        let mut c = Command::new("sh");
        c.args(["-c", &format!(". {}/env; exec \"$@\"", self.dir.path().display()), "sh"]).args(words);
        c.current_dir(folder).env("OMP_WAIT_POLICY", "passive").stdin(Stdio::null());
        c
    }

    fn run(&self, folder: &Path, words: &[&str]) -> String {
        let out = self.command(folder, words).output().unwrap();
        assert!(out.status.success(), "{words:?}: {}", said(&out));
        said(&out)
    }

    /// A search with such workers; gives its folder.
    fn search(&self, folder: &Path, workers: &str) -> PathBuf {
        config(folder, workers);
        self.run(folder, &[program_file().to_str().unwrap(), "search", "c.yaml", "--out", "a/run"]);
        folder.join("a/run")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let ended = Command::new("sh").arg(self.dir.path().join("down.sh")).status();
        assert!(ended.is_ok_and(|s| s.success()));
    }
}

/// What a remote shell does not know.
pub fn environment() -> String {
    let data = std::env::var("MOBILENAS_DATA").expect("`cargo xtask test --cluster` fetches the data and sets it");
    format!("env: {{MOBILENAS_DATA: {data}, OMP_WAIT_POLICY: passive}}")
}

fn config(folder: &Path, workers: &str) {
    fs::write(folder.join("c.yaml"), format!("{CONFIG}workers: {{{workers}}}\n")).unwrap();
}

#[test]
#[ignore = "needs ssh and Slurm servers"]
fn cluster_searches_change_no_row() {
    let cluster = Cluster::up();
    let folders: Vec<TempDir> = (0..4).map(|_| TempDir::new().unwrap()).collect();
    let run = cluster.search(folders[0].path(), &format!("launch: {{ssh: [localhost, 127.0.0.1]}}, {}", environment()));
    assert_same(&run, "ssh");
    let run =
        cluster.search(folders[1].path(), &format!("launch: {{ssh: [localhost]}}, weights: pipe, {}", environment()));
    assert_same(&run, "ssh, through the pipe");
    // Each worker in an allocation of its own; one is cancelled in between.
    let slurm = "count: 2, launch: {slurm: {args: [--job-name=nas]}}";
    config(folders[2].path(), slurm);
    let program = program_file();
    let mut search =
        cluster.command(folders[2].path(), &[program.to_str().unwrap(), "search", "c.yaml", "--out", "a/run"]);
    let run = folders[2].path().join("a/run");
    let mut child = search.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&mut child, || rows_of(&run, "trial").len() > 6);
    cluster.run(folders[2].path(), &["scancel", "--name=nas"]);
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{}", said(&out));
    assert_same(&run, "allocations that were cancelled");
    batch(&cluster, folders[3].path());
}

/// The script of the docs, asked to end in the midst of its search and submitted again.
fn batch(cluster: &Cluster, folder: &Path) {
    config(folder, "count: 3, launch: slurm");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cluster/search.sbatch");
    let path = format!("{}:{}", program_file().parent().unwrap().display(), std::env::var("PATH").unwrap());
    let run = folder.join("a/run");
    let submit = || -> String {
        let words = ["sbatch", "--parsable", "--ntasks=4", "--nodes=2", "--output=out", "--open-mode=append"];
        let mut c = cluster.command(folder, &words);
        let out = c.arg(&script).args(["c.yaml", "a/run"]).env("PATH", &path).output().unwrap();
        assert!(out.status.success(), "{}", said(&out));
        String::from_utf8(out.stdout).unwrap().trim().to_string()
    };
    let told = || fs::read_to_string(folder.join("out")).unwrap_or_default();
    let wait = |what: &str, moment: &dyn Fn() -> bool| {
        let begin = Instant::now();
        while !moment() {
            assert!(begin.elapsed() < Duration::from_secs(300), "{what}: {}", told());
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    let job = submit();
    wait("trials", &|| rows_of(&run, "trial").len() > 6);
    // As at the time limit: the script passes it on, and the search saves itself.
    cluster.run(folder, &["scancel", "--batch", "--signal=TERM", &job]);
    let queued = |job: &str| cluster.run(folder, &["squeue", "--noheader", "--format=%i"]).contains(job);
    wait("the end of the first job", &|| !queued(&job));
    assert!(rows_of(&run, "done").is_empty(), "it was over before it was asked to end");
    submit();
    wait("the end of the search", &|| !rows_of(&run, "done").is_empty());
    assert_same(&run, "a batch job, submitted twice");
}

/// What starts two ranks makes no difference: the weights are those of ranks that were started by hand, bit for bit.
#[test]
#[ignore = "needs a Slurm server and Open MPI"]
fn cluster_srun_and_mpirun_start_ranks() {
    let cluster = Cluster::up();
    let dir = TempDir::new().unwrap();
    let folder = dir.path();
    let tiny = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/configs/train/tiny.yaml")).unwrap();
    fs::write(folder.join("t.yaml"), tiny.replace("epochs: 2", "epochs: 1")).unwrap();
    let by_hand = start_on_ranks(2, || {
        let mut c = program_with_data(folder);
        c.args(["train", "t.yaml", "--out", "by_hand"]);
        c
    });
    for child in by_hand {
        let out = child.wait_with_output().unwrap();
        assert!(out.status.success(), "{}", said(&out));
    }
    let weights = |out: &str| fs::read(folder.join(out).join("weights.safetensors")).unwrap();
    let program = program_file();
    let launched = |launcher: &[&str], out: &str| {
        let own = [program.to_str().unwrap(), "train", "t.yaml", "--out", out];
        let words: Vec<&str> = launcher.iter().chain(&own).copied().collect();
        // The nodes n1 and n2 of this cluster are names that no host has.
        let result = cluster.command(folder, &words).env("MASTER_ADDR", "127.0.0.1").output().unwrap();
        (result.status.success(), said(&result))
    };
    let srun = ["srun", "--ntasks=2", "--nodes=2", "--quiet"];
    // As root, where the tests start Slurm.
    let mpirun = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "2"];
    for (launcher, out) in [(&srun[..], "srun"), (&mpirun[..], "mpirun")] {
        let (success, told) = launched(launcher, out);
        assert!(success && told.contains("2 processes with 1 threads each"), "{out}: {told}");
        assert_eq!(told.matches("test top-1").count(), 1, "{out}: rank 0 alone tells what happens: {told}");
        assert!(weights(out) == weights("by_hand"), "{out}");
        // A folder that is there is refused by rank 0, and all end with its message.
        let (success, told) = launched(launcher, out);
        assert!(!success && told.contains("exists, expected a new folder"), "{out}: {told}");
    }
    // The script of the docs.
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cluster/train.sbatch");
    let mut batch = cluster.command(folder, &["sbatch", "--wait", "--ntasks=2", "--nodes=2", "--output=told"]);
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    batch.arg(script).args(["train", "t.yaml", "batch"]).env("PATH", path).env("MASTER_ADDR", "127.0.0.1");
    let out = batch.output().unwrap();
    assert!(out.status.success(), "{}{}", said(&out), fs::read_to_string(folder.join("told")).unwrap_or_default());
    assert!(weights("batch") == weights("by_hand"), "a batch script");
}

/// Workers measure latencies; all else is as without workers. Hosts of another kind are refused.
#[test]
#[ignore = "waits for workers that never fit"]
fn cluster_workers_of_one_kind_of_host_measure_latencies() {
    let on_workers = |latency: &str| {
        let dir = tiny("");
        let text = CONFIG.replace("max_ms: 1}", &format!("max_ms: 1, measured_on: workers{latency}}}"));
        fs::write(dir.path().join("c.yaml"), format!("{text}workers: {{count: 2}}\n")).unwrap();
        let (mut c, run) = search(dir.path());
        (c.output().unwrap(), run, dir)
    };
    let (out, run, _dir) = on_workers("");
    assert!(out.status.success(), "{}", said(&out));
    let kind = rows_of(&run, "unit")[0]["host"].as_str().unwrap().to_string();
    assert!(kind.contains(" cores, governor "), "{kind}");
    let trials = |run: &Path| {
        let mut all = comparable(&run.join("journal.jsonl"), &["mes"]);
        all.retain(|row| row.get("trial").is_some());
        all
    };
    assert!(trials(&run) == trials(alone()), "{:#?}", trials(&run));
    assert!(rows_of(&run, "trial").iter().all(|t| t["latency"]["median_ms"].as_f64().unwrap() > 0.0));
    let (out, run, _dir) = on_workers(", host: another");
    let told = said(&out);
    let expected = format!("has kind of host {kind:?}, expected \"another\"");
    assert!(out.status.code() == Some(1) && told.contains(&expected), "{told}");
    assert!(rows_of(&run, "unit").is_empty() && rows_of(&run, "trial").is_empty());
}
