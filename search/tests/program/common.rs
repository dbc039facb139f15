//! What these tests share: the program, what it says, its journals, and ends that it did not expect.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::forked;

/// The program's file: this package's own, or, in the tests of another, the one beside them.
pub fn program_file() -> PathBuf {
    let beside = || std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("mobilenas");
    option_env!("CARGO_BIN_EXE_mobilenas").map_or_else(beside, PathBuf::from)
}

/// The program, in a folder.
pub fn program(folder: &Path) -> Command {
    let mut c = Command::new(program_file());
    // Several programs run at once here: threads that spin would only wait for each other.
    c.current_dir(folder).env("OMP_WAIT_POLICY", "passive");
    // Freed memory is kept, as the program has it where it sets its environment by itself.
    c.env("MALLOC_MMAP_THRESHOLD_", "1000000000").env("MALLOC_TRIM_THRESHOLD_", "4000000000");
    c
}

/// The program where Fashion-MNIST is.
pub fn program_with_data(folder: &Path) -> Command {
    let here = std::env::var_os("MOBILENAS_DATA").is_some();
    assert!(here, "MOBILENAS_DATA names no folder of datasets; `cargo xtask test` fetches them and sets it");
    program(folder)
}

/// A Python with PyTorch, in a folder.
pub fn torch_python(folder: &Path) -> Command {
    let mut c = Command::new(std::env::var_os("MOBILENAS_TORCH_PYTHON").unwrap_or_else(|| "python3".into()));
    c.current_dir(folder).arg("-B");
    c
}

/// Runs a command to its end.
pub fn ran(c: &mut Command) -> Output {
    forked::output(c).unwrap_or_else(|| c.output().unwrap())
}

/// Runs a command; gives its exit code, standard output and standard error.
pub fn output(mut c: Command) -> (i32, String, String) {
    let out = ran(&mut c);
    let code = out.status.code().unwrap_or_else(|| panic!("{}: {}", out.status, said(&out)));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (code, text(out.stdout), text(out.stderr))
}

/// Starts a command on so many ranks, as launchers do: with one without any variables.
pub fn start_on_ranks(ranks: usize, command: impl Fn() -> Command) -> Vec<Child> {
    let port = free_port();
    let one = |rank: usize| {
        let mut c = command();
        if ranks > 1 {
            c.env("RANK", rank.to_string()).env("WORLD_SIZE", ranks.to_string());
            c.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", port.to_string());
        }
        c.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    (0..ranks).map(one).collect()
}

/// A port of this host that nobody uses.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Runs a command, which must succeed; gives its standard output.
pub fn succeed(c: Command) -> String {
    let (code, out, err) = output(c);
    assert_eq!(code, 0, "{err}");
    out
}

/// All that a process said.
pub fn said(out: &Output) -> String {
    String::from_utf8_lossy(&[out.stdout.clone(), out.stderr.clone()].concat()).into_owned()
}

/// Waits for a moment of a process that goes on beyond it.
pub fn wait_for(child: &mut Child, moment: impl Fn() -> bool) {
    let begin = Instant::now();
    while !moment() {
        assert!(child.try_wait().unwrap().is_none(), "the process ended before the moment came");
        assert!(begin.elapsed() < Duration::from_secs(600), "the moment never came");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Starts a command and kills it with SIGKILL at a moment.
pub fn kill_at(mut c: Command, moment: impl Fn() -> bool) {
    let mut child = c.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for(&mut child, moment);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Sends a signal, as `-INT`.
pub fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// The rows of a journal so far.
pub fn rows(journal: &Path) -> Vec<Value> {
    let text = fs::read_to_string(journal).unwrap_or_default();
    text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect()
}

/// The rows of one kind in a run's journal.
pub fn rows_of(run: &Path, kind: &str) -> Vec<Value> {
    rows(&run.join("journal.jsonl")).into_iter().filter_map(|r| r.get(kind).cloned()).collect()
}

/// Rows without what no two runs share: times, and numbers under keys that follow from them.
pub fn comparable(journal: &Path, follows: &[&str]) -> Vec<Value> {
    fn strip(v: &mut Value, follows: &[&str]) {
        match v {
            Value::Object(m) => {
                for timed in ["seconds", "cost", "latency", "latency_ms", "started_unix", "config_digest"] {
                    m.remove(timed);
                }
                m.retain(|key, value| !(value.is_number() && follows.contains(&key.as_str())));
                m.values_mut().for_each(|v| strip(v, follows));
            }
            Value::Array(a) => a.iter_mut().for_each(|v| strip(v, follows)),
            _ => {}
        }
    }
    let mut all = rows(journal);
    all.iter_mut().for_each(|v| strip(v, follows));
    all
}

/// Asserts that two journals are equal row by row, times aside.
pub fn assert_same_rows(ours: &Path, theirs: &Path, follows: &[&str], what: &str) {
    let (ours, theirs) = (comparable(ours, follows), comparable(theirs, follows));
    for (i, (a, b)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(a, b, "{what}: row {i}");
    }
    assert_eq!(ours.len(), theirs.len(), "{what}");
}

/// Checkpoints in a folder.
pub fn checkpoints(folder: &Path) -> usize {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.file_name());
    names.filter(|n| n.to_string_lossy().ends_with(".checkpoint.safetensors")).count()
}
