//! A phone that `adb` reaches. Times are taken by a benchmark program that is brought to it.

use std::path::Path;
use std::process::{Command, Stdio};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::{DeviceKind, Settings};
use crate::link::Link;
use crate::runner::Runner;
use crate::state::SYSFS;

pub(crate) const KIND: DeviceKind =
    DeviceKind::new::<AdbSettings>("adb", "an Android phone at a cable or in the network");

/// What the phone says of itself.
const DESCRIBE: &str = "echo \"device=$(getprop ro.product.manufacturer) $(getprop ro.product.model) ($(getprop ro.board.platform))\"; \
     echo \"os=Android $(getprop ro.build.version.release), $(getprop ro.build.id)\"";

/// Settings of a phone.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AdbSettings {
    /// Its serial number, as `adb devices` lists it; left out, the only device.
    #[serde(default)]
    serial: Option<String>,
    /// What runs a network there.
    runner: Runner,
    /// The program `adb`.
    #[serde(default = "adb")]
    adb: String,
    /// Folder for files there; apps and the shell may run programs in it.
    #[serde(default = "folder")]
    folder: String,
}

fn adb() -> String {
    "adb".to_string()
}

fn folder() -> String {
    "/data/local/tmp/mobilenas".to_string()
}

impl AdbSettings {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.adb);
        if let Some(serial) = &self.serial {
            command.args(["-s", serial]);
        }
        command.stdin(Stdio::null());
        command
    }
}

impl Settings for AdbSettings {
    fn runner(&self) -> &Runner {
        &self.runner
    }

    fn link(&self) -> Box<dyn Link> {
        Box::new(self.clone())
    }
}

impl Link for AdbSettings {
    fn place(&self) -> String {
        self.serial.as_ref().map_or_else(|| "adb".to_string(), |s| format!("adb {s}"))
    }

    fn line(&self, line: &str) -> Command {
        let mut command = self.command();
        command.args(["shell", line]);
        command
    }

    fn folder(&self) -> Option<String> {
        Some(self.folder.clone())
    }

    fn push(&self, from: &Path, folder: &str) -> Option<Command> {
        let mut command = self.command();
        command.arg("push").arg(from).arg(format!("{folder}/"));
        Some(command)
    }

    fn check(&self) -> Option<Command> {
        Some(self.line("true"))
    }

    fn describe(&self) -> Option<String> {
        Some(DESCRIBE.to_string())
    }

    fn condition(&self) -> Option<String> {
        Some(SYSFS.to_string())
    }
}
