//! Settings of latency in a search.

use std::path::PathBuf;

use mobilenas_device::DeviceConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How latency is found: measured as frozen networks on this host, or summed over a table's blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LatencySettings {
    /// Where latencies come from.
    pub source: LatencySource,
    /// Where they are measured.
    #[serde(skip_serializing_if = "MeasuredOn::is_here")]
    pub measured_on: MeasuredOn,
    /// With `measured_on: workers`, the kind of host, as messages name it; that of the first worker that comes if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The table, if they come from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<PathBuf>,
    /// The device that measures, with `measured_on: device`; or on which `latency-table build` fills the table, with source
    /// imported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceConfig>,
    /// What runs the networks; of an imported table, its own engine counts.
    pub engine: String,
    /// Threads.
    #[schemars(range(min = 1, max = 256))]
    pub threads: usize,
    /// Images in a batch.
    #[schemars(range(min = 1, max = 65536))]
    pub batch: usize,
    /// Milliseconds of warm-up.
    #[schemars(range(min = 0, max = 600000))]
    pub warmup_ms: u64,
    /// At least so many samples.
    #[schemars(range(min = 1, max = 1000000))]
    pub min_samples: usize,
    /// At most so many samples.
    #[schemars(range(min = 1, max = 1000000))]
    pub max_samples: usize,
    /// No further sample after so many milliseconds.
    #[schemars(range(min = 1, max = 600000))]
    pub max_ms: u64,
    /// Fresh processes in which the candidates of a batch run interleaved with the reference network, in random order;
    /// a latency is then the ratio to the reference's. 0 times each candidate by itself, in this process.
    #[schemars(range(min = 0, max = 64))]
    pub processes: usize,
    /// Rounds in each of these processes, or on the device.
    #[schemars(range(min = 3, max = 10000))]
    pub rounds: usize,
    /// Fresh processes in which trials near the front are measured again, together, when the search is over; 0 keeps the first
    /// latencies. Only with `processes`, where an objective depends on time.
    #[schemars(range(min = 0, max = 64))]
    pub remeasure_processes: usize,
}

impl Default for LatencySettings {
    fn default() -> LatencySettings {
        let (source, engine) = (LatencySource::Measured, "libtorch".to_string());
        LatencySettings {
            source,
            measured_on: MeasuredOn::Here,
            host: None,
            table: None,
            device: None,
            engine,
            threads: 1,
            batch: 1,
            warmup_ms: 50,
            min_samples: 30,
            max_samples: 200,
            max_ms: 400,
            processes: 0,
            rounds: 10,
            remeasure_processes: 12,
        }
    }
}

impl LatencySettings {
    /// Mistakes that the types alone do not show, as path and message.
    pub fn validate(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        if self.min_samples > self.max_samples {
            let message = format!("found {}, expected at most max_samples, {}", self.min_samples, self.max_samples);
            all.push(("latency.min_samples".to_string(), message));
        }
        match (self.source, &self.table) {
            (LatencySource::Measured, Some(table)) => {
                let message =
                    format!("found {:?}, expected none with source measured; source table or imported", table);
                all.push(("latency.table".to_string(), message));
            }
            (LatencySource::Table | LatencySource::Imported, None) => {
                all.push((
                    "latency".to_string(),
                    "missing key table, expected the file of a latency table".to_string(),
                ));
            }
            (LatencySource::Measured, None) | (LatencySource::Table | LatencySource::Imported, Some(_)) => {}
        }
        match self.measured_on {
            MeasuredOn::Here if self.host.is_some() => {
                let message = "found one, expected none unless latency.measured_on is workers".to_string();
                all.push(("latency.host".to_string(), message));
            }
            MeasuredOn::Here => {}
            MeasuredOn::Workers | MeasuredOn::Device if self.source != LatencySource::Measured => {
                let message = format!("found {}, expected here unless source is measured", self.measured_on.name());
                all.push(("latency.measured_on".to_string(), message));
            }
            MeasuredOn::Workers | MeasuredOn::Device if self.processes > 0 => {
                let (found, on) = (self.processes, self.measured_on.name());
                let message = format!("found {found}, expected 0 with latency.measured_on: {on}");
                all.push(("latency.processes".to_string(), message));
            }
            MeasuredOn::Device if self.device.is_none() => {
                let message = "missing key device, expected one with latency.measured_on: device".to_string();
                all.push(("latency".to_string(), message));
            }
            MeasuredOn::Device if self.host.is_some() => {
                let message = "found one, expected none unless latency.measured_on is workers".to_string();
                all.push(("latency.host".to_string(), message));
            }
            MeasuredOn::Workers | MeasuredOn::Device => {}
        }
        all.extend(crate::engine::unknown(&self.engine).map(|message| ("latency.engine".to_string(), message)));
        if let Some(device) = &self.device {
            all.extend(device.validate().into_iter().map(|(key, m)| (format!("latency.device.{key}"), m)));
            if self.source != LatencySource::Imported && self.measured_on != MeasuredOn::Device {
                let message = "found a device, expected measured_on: device, or source imported and a table: \
                               `latency-table build` fills it there";
                all.push(("latency.device".to_string(), message.to_string()));
            }
        }
        all
    }
}

/// On which machines latencies are measured: on the search's own, on its workers, whose hosts are all of one kind, or on
/// another device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum MeasuredOn {
    Here,
    Workers,
    Device,
}

impl MeasuredOn {
    fn name(self) -> &'static str {
        match self {
            MeasuredOn::Here => "here",
            MeasuredOn::Workers => "workers",
            MeasuredOn::Device => "device",
        }
    }

    /// Whether a config need not say it.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    fn is_here(&self) -> bool {
        *self == MeasuredOn::Here
    }
}

/// Where latencies come from: each network measured on this host; the sum over the blocks of a table that was built on
/// a machine with the same engine; or of one that was imported from another device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum LatencySource {
    Measured,
    Table,
    Imported,
}
