//! Devices at work: a command, a shim that behaves like `adb`, and `ssh` to a server on this machine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod adb;
mod command;
mod ssh;

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mobilenas_device::{DeviceConfig, DeviceError, Network, Session, Surroundings};
use mobilenas_host::Stop;
use tempfile::TempDir;

/// A folder, what was said, and the pauses, in which something may happen.
struct World {
    dir: TempDir,
    stop: Stop,
    said: RefCell<Vec<String>>,
    pauses: RefCell<Vec<f64>>,
}

impl World {
    fn new() -> World {
        World {
            dir: TempDir::new().unwrap(),
            stop: Stop::never(),
            said: RefCell::new(Vec::new()),
            pauses: RefCell::new(Vec::new()),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// A program of the shell.
    fn script(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let written = self.write(&format!("{name}.sh"), &format!("#!/bin/sh\n{text}\n"));
        // Another process writes what is run: a file that this one holds open in a thread's child is "busy".
        let path = self.path(name);
        assert!(std::process::Command::new("cp").args([&written, &path]).status().unwrap().success());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Has a device at work. No time passes: `pause` is called instead with its number, from 1.
    fn with<T>(
        &self,
        config: &serde_json::Value,
        pause: &dyn Fn(usize),
        work: impl FnOnce(&mut Session<'_>) -> Result<T, DeviceError>,
    ) -> Result<T, DeviceError> {
        let config: DeviceConfig = serde_json::from_value(config.clone()).unwrap();
        assert_eq!(config.validate(), []);
        let sleep = |time: Duration| {
            self.pauses.borrow_mut().push(time.as_secs_f64());
            let n = self.pauses.borrow().len();
            pause(n);
        };
        let say = |text: &str| self.said.borrow_mut().push(text.to_string());
        let around = Surroundings { stop: &self.stop, sleep: &sleep, say: &say };
        work(&mut Session::open(&config, 3, around)?)
    }

    /// The time of one network, whose file is the text.
    fn time(&self, config: &serde_json::Value, pause: &dyn Fn(usize), text: &str) -> Result<f64, DeviceError> {
        let onnx = self.write("n.onnx", text);
        self.with(config, pause, |s| {
            let mut network = s.network(&onnx, &[3, 224, 192])?;
            s.time(&mut network)
        })
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

/// Networks of files with these texts.
fn networks(s: &Session<'_>, dir: &Path, texts: &[&str]) -> Vec<Network> {
    let one = |(i, text): (usize, &&str)| {
        let path = dir.join(format!("{i}.onnx"));
        fs::write(&path, text).unwrap();
        s.network(&path, &[3, 32, 32]).unwrap()
    };
    texts.iter().enumerate().map(one).collect()
}
