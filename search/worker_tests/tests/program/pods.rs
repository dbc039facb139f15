//! Workers in pods, started by kubectl itself; a stand-in is the server. `cargo xtask test --cluster`.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::clusters::environment;
use crate::common::{program_file, rows_of, said, succeed, wait_for};
use crate::workers::{CONFIG, assert_same, script, search, tiny};

/// The server, whose pods are processes of this machine.
struct Server {
    dir: TempDir,
    child: Child,
}

impl Server {
    /// One that takes so many seconds to notice what pods do.
    fn up(seconds: &str) -> Server {
        let dir = TempDir::new().unwrap();
        let mut c = Command::new("python3");
        c.args(["-B", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kubernetes/api.py")]);
        c.arg(dir.path().join("config")).arg(seconds).stdin(Stdio::piped());
        let mut child = c.spawn().unwrap();
        wait_for(&mut child, || dir.path().join("config").exists());
        Server { dir, child }
    }

    /// A command whose kubectl talks to this server.
    fn known_to(&self, mut c: Command) -> Command {
        c.env("KUBECONFIG", self.dir.path().join("config")).env("KUBECACHEDIR", self.dir.path().join("cache"));
        c
    }

    fn kubectl(&self, words: &[&str]) -> String {
        let mut c = self.known_to(Command::new("kubectl"));
        c.args(words);
        succeed(c)
    }

    /// The pods that there are, as `pod/NAME`.
    fn pods(&self) -> Vec<String> {
        self.kubectl(&["get", "pods", "--output=name"]).lines().map(str::to_string).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends with its input, and its pods with it.
        drop(self.child.stdin.take());
        let ended = self.child.wait();
        assert!(std::thread::panicking() || ended.is_ok_and(|s| s.success()));
    }
}

/// What the config says of workers.
fn workers(more: &str) -> String {
    format!("workers: {{count: 2, launch: {{kubernetes: {{image: any}}}}, {more}{}}}", environment())
}

#[test]
#[ignore = "needs kubectl"]
fn cluster_kubectl_starts_workers() {
    // As a cluster, it tells a second later that a pod runs or has ended.
    let server = Server::up("1");
    for more in ["", "weights: pipe, "] {
        let dir = tiny(&workers(more));
        let (c, run) = search(dir.path());
        succeed(server.known_to(c));
        assert_same(&run, "pods");
        assert_eq!(server.pods(), [""; 0], "pods that have ended are gone");
    }
    deleted(&server);
}

/// A pod is deleted in the midst of a search.
fn deleted(server: &Server) {
    let dir = tiny("");
    let program = gate(dir.path());
    fs::write(dir.path().join("c.yaml"), format!("{CONFIG}{}\n", workers(&format!("program: {program}, ")))).unwrap();
    let (c, run) = search(dir.path());
    let mut child = server.known_to(c).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&mut child, || rows_of(&run, "trial").len() > 2);
    let before = server.pods();
    server.kubectl(&["delete", &before[0]]);
    fs::write(dir.path().join("go"), "").unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{}", said(&out));
    assert_same(&run, "a pod that was deleted");
    assert_eq!(server.pods(), [""; 0]);
}

/// A program for pods: a worker that gets its fourth job when there is a file `go`.
fn gate(dir: &Path) -> String {
    let text = format!(
        r#"mkfifo {dir}/jobs.$$
exec 3<&0
n=0
while read -r line; do
    case $line in *'"number":'*) n=$((n + 1)); [ $n -lt 4 ] || until [ -e {dir}/go ]; do sleep 0.05; done;; esac
    printf '%s\n' "$line"
done <&3 > {dir}/jobs.$$ &
exec {program} "$@" < {dir}/jobs.$$ 3<&-"#,
        dir = dir.display(),
        program = program_file().display()
    );
    script(dir, &text).display().to_string()
}
