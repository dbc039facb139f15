//! Latencies that were not measured by this process: on workers, or on another device.

use std::collections::HashMap;

use mobilenas_record::run::Latency;

/// A latency that was measured elsewhere, or why there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteLatency {
    /// The latency.
    pub latency: Result<Latency, String>,
    /// Seconds that it took.
    pub seconds: f64,
}

/// Those of networks, by the digests of their graphs.
#[derive(Clone, Debug, Default)]
pub struct RemoteLatencies(HashMap<String, RemoteLatency>);

impl RemoteLatencies {
    /// Whether that of a network is known.
    pub fn knows(&self, digest: &str) -> bool {
        self.0.contains_key(digest)
    }

    /// Takes one.
    pub fn take(&mut self, digest: String, found: RemoteLatency) {
        self.0.insert(digest, found);
    }

    /// That of a network, or why there is none.
    pub(super) fn get(&self, digest: &str) -> Result<Latency, String> {
        self.0.get(digest).map_or_else(|| Err("nobody measured it".to_string()), |found| found.latency.clone())
    }

    /// Seconds that it took.
    pub(super) fn seconds(&self, digest: &str) -> f64 {
        self.0.get(digest).map_or(0.0, |found| found.seconds)
    }
}
