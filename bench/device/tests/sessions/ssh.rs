//! A board behind `ssh`: a server of OpenSSH on this machine, with a key and a port of its own.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::World;

/// The server.
struct Server {
    world: World,
    port: u16,
    child: Option<Child>,
}

impl Server {
    fn up() -> Server {
        let world = World::new();
        for key in ["host_key", "key"] {
            let mut c = Command::new("ssh-keygen");
            let made = c.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(world.path(key)).status().unwrap();
            assert!(made.success());
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dir = world.dir.path().display();
        world.write(
            "sshd_config",
            &format!(
                "ListenAddress 127.0.0.1\nPort {port}\nHostKey {dir}/host_key\nAuthorizedKeysFile {dir}/key.pub\nPidFile none\nStrictModes no\nUsePAM no\n"
            ),
        );
        let mut server = Server { world, port, child: None };
        server.start();
        server
    }

    fn start(&mut self) {
        // As root, the server wants a folder that Debian's service makes.
        let _ = std::fs::create_dir_all("/run/sshd");
        let mut c = Command::new("/usr/sbin/sshd");
        c.args(["-D", "-f"]).arg(self.world.path("sshd_config")).stdin(Stdio::null()).stderr(Stdio::null());
        self.child = Some(c.spawn().unwrap());
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(self.child.as_mut().unwrap().try_wait().unwrap().is_none(), "the server has ended");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    fn end(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn config(&self, runner: &Value) -> Value {
        json!({"ssh": {
            "host": "127.0.0.1",
            "port": self.port,
            "key": self.world.path("key"),
            "options": ["UserKnownHostsFile=/dev/null", "StrictHostKeyChecking=no", "LogLevel=ERROR"],
            "folder": self.world.path("the board's"),
            "runner": runner,
        }})
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
#[ignore = "needs an ssh server"]
fn cluster_files_go_through_ssh_and_a_time_comes_back() {
    let server = Server::up();
    let w = &server.world;
    w.script("tool", "test -e \"$(dirname \"$0\")/lib/beside\" && echo \"took $(($(wc -c < \"$1\") * $2)) ms\"");
    std::fs::create_dir(w.path("lib")).unwrap();
    w.write("lib/beside", "");
    let runner = json!({
        "run": "{program} {file} {threads}", "after": "took", "unit": "ms", "statistic": "median", "pause_seconds": 0.0,
        "ship": w.path("tool"), "ship_also": [w.path("lib")],
    });
    let onnx = w.write("n.onnx", "12345");
    let (time, record) = w
        .with(&server.config(&runner), &|_| {}, |s| {
            let mut network = s.network(&onnx, &[3, 8, 8])?;
            s.settle()?;
            let time = s.time(&mut network)?;
            s.remove(&network);
            Ok((time, s.record().clone()))
        })
        .unwrap();
    assert_eq!(time, 15.0);
    assert!(!w.path("the board's/n.onnx").exists() && w.path("the board's/tool").exists());
    assert!(record.device.contains(std::env::consts::ARCH) && record.os != "unknown", "{record:?}");
}

#[test]
#[ignore = "needs an ssh server"]
fn cluster_a_board_that_goes_away_is_waited_for() {
    let server = std::cell::RefCell::new(Server::up());
    let w = World::new();
    let runner = json!({"run": "cat {file}", "unit": "ms", "statistic": "min", "pause_seconds": 0.0});
    let config = server.borrow().config(&runner);
    let onnx = w.write("n.onnx", "7");
    let back = |n: usize| {
        if n == 2 {
            server.borrow_mut().start();
        }
    };
    let times = w.with(&config, &back, |s| {
        let mut network = s.network(&onnx, &[3, 8, 8])?;
        let first = s.time(&mut network)?;
        server.borrow_mut().end();
        Ok([first, s.time(&mut network)?])
    });
    assert_eq!(times.unwrap(), [7.0, 7.0]);
    assert_eq!(*w.pauses.borrow(), [1.0, 2.0]);
    assert!(w.said.borrow()[0].contains("Connection refused"), "{:?}", w.said.borrow());
    // A host that is wrong from the beginning is told at once.
    let mut wrong = config;
    wrong["ssh"]["port"] = json!(1);
    let error = w.time(&wrong, &|_| {}, "7").unwrap_err().to_string();
    assert!(error.contains("exit status: 255") && error.contains("Connection refused"), "{error}");
    assert_eq!(w.pauses.borrow().len(), 2);
}
