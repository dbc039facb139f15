//! What can go wrong with a device.

use std::io;
use std::path::PathBuf;

use crate::process::Said;

/// Why a device gives no time. Every message says where, what was found and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// Settings that name no device.
    #[error("device: {message}")]
    Settings {
        /// What is wrong with them.
        message: String,
    },
    /// A program on this machine does not start.
    #[error("{place}: {program} does not start: {source}, expected a program on this machine")]
    Start {
        /// The device.
        place: String,
        /// The program.
        program: String,
        /// What the system says.
        source: io::Error,
    },
    /// A file on this machine.
    #[error("{}: {source}, expected a file", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A command fails.
    #[error("{place}: `{line}` ended ({status}){}, expected exit status 0", words(said))]
    Failed {
        /// The device.
        place: String,
        /// The command.
        line: String,
        /// How it ended.
        status: String,
        /// Its exit code, if it has one.
        code: Option<i32>,
        /// The last line that it printed.
        said: String,
    },
    /// A command does not end.
    #[error(
        "{place}: `{line}` did not end in {seconds} s, expected an answer; `timeout_seconds` is how long it may take"
    )]
    Silent {
        /// The device.
        place: String,
        /// The command.
        line: String,
        /// How long it was waited for.
        seconds: f64,
    },
    /// What a command prints is no time.
    #[error("{place}: `{line}` printed {found}, expected {expected}")]
    Output {
        /// The device.
        place: String,
        /// The command.
        line: String,
        /// What it printed.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// The device went away and did not come back.
    #[error("{place}: the device has been away for {seconds} s, expected it back; the last word was: {last}")]
    Away {
        /// The device.
        place: String,
        /// How long it was waited for.
        seconds: u64,
        /// What was seen last.
        last: String,
    },
    /// The device goes away each time one network runs.
    #[error("{place}: the device went away {times} times while it ran `{line}`, expected it to last: {last}")]
    Dies {
        /// The device.
        place: String,
        /// The command.
        line: String,
        /// How often.
        times: usize,
        /// What was seen last.
        last: String,
    },
    /// The user asked to stop.
    #[error("asked to stop")]
    Stopped,
}

impl DeviceError {
    /// A command that failed.
    pub(crate) fn failed(place: &str, line: &str, said: &Said) -> DeviceError {
        let (place, line) = (place.to_string(), line.to_string());
        DeviceError::Failed { place, line, status: said.status.clone(), code: said.code, said: said.last_line() }
    }

    /// Whether the user can mend it: all but a device that is away, and a stop.
    pub fn is_input(&self) -> bool {
        match self {
            DeviceError::Settings { .. }
            | DeviceError::Start { .. }
            | DeviceError::File { .. }
            | DeviceError::Failed { .. }
            | DeviceError::Silent { .. }
            | DeviceError::Output { .. } => true,
            DeviceError::Away { .. } | DeviceError::Dies { .. } | DeviceError::Stopped => false,
        }
    }

    /// Whether it is about the network that was run, and the next one may do better.
    pub fn is_of_network(&self) -> bool {
        match self {
            DeviceError::Failed { .. }
            | DeviceError::Silent { .. }
            | DeviceError::Output { .. }
            | DeviceError::Dies { .. } => true,
            DeviceError::Settings { .. }
            | DeviceError::Start { .. }
            | DeviceError::File { .. }
            | DeviceError::Away { .. }
            | DeviceError::Stopped => false,
        }
    }
}

fn words(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}
