//! What is recorded of a device.

use std::collections::BTreeMap;

use mobilenas_host::printable;
use serde::{Deserialize, Serialize};

use crate::runner::{Resolved, Runner};

/// What is recorded of a device with every time that it gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRecord {
    /// The way to it, such as `ssh pi.local`.
    pub link: String,
    /// The device.
    pub device: String,
    /// Its operating system.
    pub os: String,
    /// The runtime.
    pub runtime: String,
    /// Its version.
    pub version: String,
    /// What the runtime hands its work to; none if that is not known.
    pub delegate: Option<String>,
    /// Precision of the arithmetic.
    pub precision: String,
    /// Threads.
    pub threads: usize,
    /// The command line that runs a network.
    pub run: String,
    /// What the time is of the command's runs: `median`, `mean` or `minimum`.
    pub statistic: String,
}

/// Reads lines `device=`, `os=` and `version=`.
pub fn described(text: &str) -> BTreeMap<String, String> {
    let line = |l: &str| {
        let (key, value) = l.trim().split_once('=')?;
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        (!value.is_empty()).then(|| (key.trim().to_string(), printable(&value)))
    };
    text.lines().filter_map(line).collect()
}

impl DeviceRecord {
    /// What the config says; where it says nothing, what the device says.
    pub(crate) fn of(
        link: String,
        runner: &Runner,
        resolved: &Resolved,
        told: &BTreeMap<String, String>,
        threads: usize,
    ) -> DeviceRecord {
        let word = |own: &Option<String>, key: &str| {
            own.clone().or_else(|| told.get(key).cloned()).unwrap_or_else(|| "unknown".to_string())
        };
        DeviceRecord {
            link,
            device: word(&runner.device, "device"),
            os: word(&runner.os, "os"),
            runtime: resolved.runtime.clone(),
            version: word(&runner.version, "version"),
            delegate: runner.delegate.clone(),
            precision: runner.precision.clone(),
            threads,
            run: resolved.run.clone(),
            statistic: resolved.statistic.to_string(),
        }
    }

    /// Device and system in words.
    pub fn caption(&self) -> String {
        match self.device.as_str() {
            "unknown" => self.link.clone(),
            device => format!("{device}, {}", self.os),
        }
    }

    /// The runtime with its delegate: the engine in records.
    pub fn engine(&self) -> String {
        self.delegate.as_ref().map_or_else(|| self.runtime.clone(), |d| format!("{}+{d}", self.runtime))
    }
}
