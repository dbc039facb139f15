//! A device that a command of the user reaches: any template, a number or JSON out.

use std::process::Command;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::{DeviceKind, Settings};
use crate::link::Link;
use crate::runner::Runner;
use crate::shell::here;

pub(crate) const KIND: DeviceKind =
    DeviceKind::new::<CommandSettings>("command", "a command on this machine that runs a network's file anywhere");

/// Exit code that means "try again later", as `sysexits.h` has it.
const TRY_AGAIN: i32 = 75;

/// Settings of a command.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CommandSettings {
    /// What runs a network.
    runner: Runner,
    /// A command that prints lines `device=`, `os=` and `version=`.
    #[serde(default)]
    describe: Option<String>,
    /// A command that prints lines `celsius=` and `mhz=`.
    #[serde(default)]
    condition: Option<String>,
    /// A command that succeeds if and only if the device is there. Without it, exit code 75 of `run` says that it is away.
    #[serde(default)]
    check: Option<String>,
}

impl Settings for CommandSettings {
    fn runner(&self) -> &Runner {
        &self.runner
    }

    fn link(&self) -> Box<dyn Link> {
        Box::new(self.clone())
    }
}

impl Link for CommandSettings {
    fn place(&self) -> String {
        "command".to_string()
    }

    fn line(&self, line: &str) -> Command {
        here(line)
    }

    fn check(&self) -> Option<Command> {
        self.check.as_deref().map(here)
    }

    fn says_away(&self, code: i32) -> bool {
        code == TRY_AGAIN
    }

    fn describe(&self) -> Option<String> {
        self.describe.clone()
    }

    fn condition(&self) -> Option<String> {
        self.condition.clone()
    }
}
