//! A board that `ssh` reaches, such as a Raspberry Pi. Files go there as a tar through the same connection, so the board
//! needs an ssh server, a shell and tar.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::{DeviceKind, Settings};
use crate::link::Link;
use crate::runner::Runner;
use crate::shell::{here, quoted};
use crate::state::SYSFS;

pub(crate) const KIND: DeviceKind =
    DeviceKind::new::<SshSettings>("ssh", "a board with an ssh server, such as a Raspberry Pi");

/// What the board says of itself.
const DESCRIBE: &str = "m=$(tr -d '\\000' 2>/dev/null </proc/device-tree/model); \
     test -n \"$m\" || m=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo 2>/dev/null | head -n 1); \
     echo \"device=${m:-$(uname -n)} ($(uname -m))\"; \
     (. /etc/os-release; echo \"os=$PRETTY_NAME $(uname -r)\") 2>/dev/null || echo \"os=$(uname -sr)\"";

/// Exit code of `ssh` when the connection fails.
const OWN_FAILURE: i32 = 255;

/// Settings of a board.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SshSettings {
    /// The host, as `ssh` takes it.
    host: String,
    /// What runs a network there.
    runner: Runner,
    /// The user there.
    #[serde(default)]
    user: Option<String>,
    /// Port of its server.
    #[serde(default)]
    #[schemars(range(min = 1, max = 65535))]
    port: Option<u16>,
    /// File of the private key.
    #[serde(default)]
    key: Option<PathBuf>,
    /// Further options of `ssh`, each as `-o` takes it: `ControlMaster=auto`.
    #[serde(default)]
    options: Vec<String>,
    /// Folder for files there.
    #[serde(default = "folder")]
    folder: String,
}

fn folder() -> String {
    "/tmp/mobilenas".to_string()
}

impl SshSettings {
    /// The words before a line. Nothing asks for a password: nobody may be there to type it.
    fn words(&self) -> Vec<String> {
        let mut all: Vec<String> =
            ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=10"]
                .map(String::from)
                .to_vec();
        for option in &self.options {
            all.extend(["-o".to_string(), option.clone()]);
        }
        if let Some(port) = self.port {
            all.extend(["-p".to_string(), port.to_string()]);
        }
        if let Some(user) = &self.user {
            all.extend(["-l".to_string(), user.clone()]);
        }
        if let Some(key) = &self.key {
            all.extend(["-i".to_string(), key.display().to_string()]);
        }
        all.extend(["--".to_string(), self.host.clone()]);
        all
    }

    fn command(&self, line: &str) -> Command {
        let words = self.words();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(line).stdin(Stdio::null());
        command
    }
}

impl Settings for SshSettings {
    fn runner(&self) -> &Runner {
        &self.runner
    }

    fn link(&self) -> Box<dyn Link> {
        Box::new(self.clone())
    }
}

impl Link for SshSettings {
    fn place(&self) -> String {
        format!("ssh {}", self.host)
    }

    fn line(&self, line: &str) -> Command {
        self.command(line)
    }

    fn folder(&self) -> Option<String> {
        Some(self.folder.clone())
    }

    fn push(&self, from: &Path, folder: &str) -> Option<Command> {
        let parent = from.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = from.file_name().unwrap_or(OsStr::new("."));
        let [parent, name] = [parent.as_os_str(), name].map(|w| quoted(&w.to_string_lossy()));
        let ssh: Vec<String> = self.words().iter().map(|w| quoted(w)).collect();
        let there = quoted(&format!("mkdir -p {0} && tar -C {0} -xf -", quoted(folder)));
        Some(here(&format!("tar -C {parent} -chf - -- {name} | {} {there}", ssh.join(" "))))
    }

    fn check(&self) -> Option<Command> {
        Some(self.command("true"))
    }

    fn says_away(&self, code: i32) -> bool {
        code == OWN_FAILURE
    }

    fn describe(&self) -> Option<String> {
        Some(DESCRIBE.to_string())
    }

    fn condition(&self) -> Option<String> {
        Some(SYSFS.to_string())
    }
}
