//! Searches on workers: over launchers of all kinds, and while workers are killed. Every one ends with the rows of a
//! search without workers.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::common::{assert_same_rows, output, program, program_with_data, rows_of, said, signal, succeed, wait_for};
use crate::config_parts::strides;

pub const CONFIG: &str = concat!(
    "
name: tiny
seed: 7
threads: 1
space:
  family: mobilevit_v1
  scale: {width: 0.25, divisor: 8}
  knobs:
    resolution: [16]
    stages.1.depth: [1]
    stages.2.depth: [1]
    stages.3.depth: [1, 2]
    stages.4.depth: [1]
",
    strides!(),
    "data: {name: fashion-mnist, search_val: 100, train_limit: 200, test_limit: 100}
supernet: {epochs: 1, batch: 50, warmup: 0}
search:
  strategy: {nsga2: {population: 6}}
  trials: 18
  batch: 6
  objectives: [{metric: top1, goal: maximize}, {metric: macs, goal: minimize}]
scoring: {recalibrate: 64, batch: 100}
latency: {engine: libtorch-plain, warmup_ms: 0, min_samples: 1, max_samples: 1, max_ms: 1}
retrain: {best: 1, variants: false, epochs: 1, batch: 64, warmup: 0}
checkpoint_seconds: 0
"
);

/// A folder with a config that says this of workers.
pub fn tiny(workers: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("c.yaml"), format!("{CONFIG}{workers}\n")).unwrap();
    dir
}

/// A search, in a folder of its own.
pub fn search(dir: &Path) -> (Command, PathBuf) {
    let (mut c, run) = (program_with_data(dir), dir.join("a/run"));
    c.args(["search", "c.yaml", "--out"]).arg(&run).args(run.exists().then_some("--resume"));
    (c, run)
}

/// A search without workers, made once.
pub fn alone() -> &'static Path {
    static RUN: OnceLock<TempDir> = OnceLock::new();
    let dir = RUN.get_or_init(|| {
        let dir = tiny("");
        succeed(search(dir.path()).0);
        dir
    });
    Box::leak(dir.path().join("a/run").into_boxed_path())
}

/// A search ends with the rows, and the weights of the winner, of one without workers.
pub fn assert_same(run: &Path, what: &str) {
    let journal = |run: &Path| run.join("journal.jsonl");
    assert_same_rows(&journal(run), &journal(alone()), &["mes"], what);
    let winner = |run: &Path| {
        let name = format!("winners/{}.safetensors", rows_of(run, "retrained")[0]["trial"]);
        fs::read(run.join(name)).unwrap()
    };
    assert!(winner(run) == winner(alone()), "{what}: the winner's weights differ");
}

/// A shell script.
pub fn script(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("launch.sh");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Processes of this machine whose command line holds all these words.
pub fn processes(words: &[&str]) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let own = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        words.iter().all(|w| line.contains(w))
    };
    entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).filter(own).collect()
}

/// A launcher that reads the jobs of its worker on the way: `each` runs before a job goes on, which is the `$n`th of this
/// worker. The worker's process is in the file `$pid`.
fn reading(dir: &Path, each: &str) -> String {
    let text = format!(
        r#"n=0 pid={0}/pid.$$
while read -r line; do
    case $line in *'"number":'*) n=$((n + 1)); {each};; esac
    printf '%s\n' "$line"
done | {{ echo $BASHPID > $pid; exec "$@"; }}"#,
        dir.display()
    );
    format!("launch: [bash, {}]", script(dir, &text).display())
}

/// A launcher whose workers stop before their fourth job until there is a file `go`.
fn gate(dir: &Path) -> String {
    reading(dir, &format!("[ $n -lt 4 ] || until [ -e {}/go ]; do sleep 0.05; done", dir.display()))
}

#[test]
fn workers_of_any_launcher_change_no_row() {
    let dir = tiny("");
    let log = dir.path().join("log");
    let launcher = script(dir.path(), &format!("echo \"$1\" >> {}; shift; echo Welcome; exec \"$@\"", log.display()));
    let workers = format!("workers: {{count: 3, launch: [{}, 'w-{{worker}}']}}", launcher.display());
    fs::write(dir.path().join("c.yaml"), format!("{CONFIG}{workers}\n")).unwrap();
    let (c, run) = search(dir.path());
    let out = c.stdin_null().output().unwrap();
    assert!(out.status.success(), "{}", said(&out));
    assert_same(&run, "a launcher");
    let names: Vec<String> = fs::read_to_string(&log).unwrap().lines().map(str::to_string).collect();
    assert!(names.len() >= 4 && names.iter().all(|n| n.starts_with("w-")), "three score, one trains: {names:?}");
    assert!(!run.join("workers").exists(), "nothing is left of the workers");
}

/// What tests ask of commands.
trait Quiet {
    fn stdin_null(self) -> Command;
}

impl Quiet for Command {
    fn stdin_null(mut self) -> Command {
        self.stdin(Stdio::null());
        self
    }
}

#[test]
fn a_supernet_comes_through_the_pipe_where_no_folder_is_shared() {
    let dir = tiny("");
    // The worker sees neither the run's folder nor the folder that the search began in.
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let text = format!("cd {0}; TMPDIR={0} exec \"$@\"", elsewhere.display());
    let launcher = script(dir.path(), &text);
    let workers = format!("workers: {{count: 2, launch: [{}], weights: pipe}}", launcher.display());
    fs::write(dir.path().join("c.yaml"), format!("{CONFIG}{workers}\n")).unwrap();
    let (c, run) = search(dir.path());
    succeed(c);
    assert_same(&run, "through the pipe");
    // ONNX Runtime leaves a file `.ses` in the folder for temporary files.
    let names = fs::read_dir(&elsewhere).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> = names.filter(|name| name != ".ses").collect();
    assert!(left.is_empty(), "what was unpacked is gone: {left:?}");
}

#[test]
fn workers_that_are_killed_change_no_row() {
    for [first, second] in [["-KILL", "-KILL"], ["-TERM", "-USR1"]] {
        let dir = tiny("");
        // The first two workers that get a fourth job get the signal while they do it: two deaths set none aside.
        let strike = format!(
            r#"name=
            if [ $n = 4 ] && mkdir {0}/1 2>/dev/null; then name={first}
            elif [ $n = 4 ] && mkdir {0}/2 2>/dev/null; then name={second}
            fi
            if [ "$name" ]; then
                p=$(cat $pid); printf '%s\n' "$line"; kill $name $p
                while kill -0 $p 2>/dev/null; do sleep 0.02; done
                exit
            fi"#,
            dir.path().display()
        );
        let workers = format!("workers: {{count: 2, {}}}", reading(dir.path(), &strike));
        fs::write(dir.path().join("c.yaml"), format!("{CONFIG}{workers}\n")).unwrap();
        let (c, run) = search(dir.path());
        succeed(c);
        assert!(dir.path().join("1").exists(), "{first} reached nobody");
        assert_same(&run, first);
    }
}

#[test]
fn a_candidate_that_kills_three_is_set_aside_with_what_they_said() {
    let dir = tiny("");
    // The third job of all is poison: whoever is to read it dies.
    let poison = r#"set -o pipefail
while read -r line; do
    case $line in
    *'"number":2,'*) echo "out of memory" >&2; exit 9;;
    esac
    printf '%s\n' "$line"
done | "$@""#;
    let launcher = script(dir.path(), poison);
    let workers = format!("workers: {{count: 1, launch: [bash, {}]}}", launcher.display());
    fs::write(dir.path().join("c.yaml"), format!("{CONFIG}{workers}\n")).unwrap();
    let (c, run) = search(dir.path());
    succeed(c);
    let trials = rows_of(&run, "trial");
    let failed: Vec<_> = trials.iter().filter(|t| t["outcome"]["failed"].is_object()).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    let why = failed[0]["outcome"]["failed"]["why"].as_str().unwrap();
    let file = format!("workers/{}.txt", failed[0]["digest"].as_str().unwrap());
    assert!(why.starts_with("3 workers died of it") && why.contains(&file), "{why}");
    let text = fs::read_to_string(run.join(file)).unwrap();
    assert_eq!(text.matches("out of memory").count(), 3, "{text}");
}

#[test]
fn a_launcher_that_never_works_ends_the_search_with_its_message() {
    let dir = tiny("workers: {count: 2, launch: [sh, -c, 'echo no such partition >&2; exit 3', sh]}");
    let (c, run) = search(dir.path());
    let begin = std::time::Instant::now();
    let (code, _, told) = output(c);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("no worker could be started in ") && told.contains("no such partition"), "{told}");
    // Fifty seconds by its rules; the rest is for a busy machine.
    assert!(begin.elapsed().as_secs() < 300);
    // Another launcher, or none, goes on.
    fs::write(dir.path().join("c.yaml"), CONFIG).unwrap();
    succeed(search(dir.path()).0);
    assert_same(&run, "another launcher");
}

#[test]
fn the_number_of_workers_changes_while_a_search_goes_on() {
    let dir = tiny("");
    // The search goes on for as long as the test wants it to.
    let config = format!("{CONFIG}workers: {{count: 0, {}}}\n", gate(dir.path()));
    fs::write(dir.path().join("c.yaml"), config).unwrap();
    let (mut c, run) = search(dir.path());
    let mut child = c.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let workers = |args: &[&str]| {
        let mut c = program(dir.path());
        c.arg("workers").arg(&run).args(args);
        output(c)
    };
    wait_for(&mut child, || run.join("workers/status.json").exists());
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(rows_of(&run, "trial").is_empty(), "without workers a search waits");
    let (code, told, _) = workers(&["+2"]);
    assert!(code == 0 && told.contains("2 workers from now on, 0 before"), "{told}");
    assert!(workers(&["-1"]).1.contains("1 workers from now on, 2 before"));
    wait_for(&mut child, || rows_of(&run, "trial").len() > 2);
    // What the search tells of itself may be as old as the change before the last.
    wait_for(&mut child, || {
        let (code, told, _) = workers(&[]);
        code == 0 && told.starts_with("1 workers wanted: ")
    });
    assert_eq!(workers(&["many"]).0, 2);
    fs::write(dir.path().join("go"), "").unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success() && said(&out).contains("1 workers from now on"), "{}", said(&out));
    assert_same(&run, "changed");
    let (code, _, told) = workers(&["+1"]);
    assert!(code == 2 && told.contains("expected the folder of a search or a study that goes on"), "{told}");
}

#[test]
fn a_search_that_is_killed_leaves_no_worker_behind() {
    let dir = tiny("");
    let config = format!("{CONFIG}workers: {{count: 2, {}}}\n", gate(dir.path()));
    fs::write(dir.path().join("c.yaml"), config).unwrap();
    let (mut c, run) = search(dir.path());
    let mut child = c.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for(&mut child, || rows_of(&run, "trial").len() > 2);
    let own = || processes(&["mobilenas worker", run.to_str().unwrap()]);
    assert!(!own().is_empty());
    signal(&child, "-KILL");
    child.wait().unwrap();
    fs::write(dir.path().join("go"), "").unwrap();
    let begin = std::time::Instant::now();
    while !own().is_empty() {
        assert!(begin.elapsed().as_secs() < 60, "{:?} are left", own());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    succeed(search(dir.path()).0);
    assert_same(&run, "killed and resumed");
}
