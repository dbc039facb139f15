//! What measures latencies, as rows describe it.

use serde::{Deserialize, Serialize};

/// What ran the networks while they were timed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Engine {
    /// `libtorch`, ...
    pub name: String,
    /// Version of the engine.
    pub version: String,
    /// Numeric precision: `float32` or `int8`.
    pub precision: String,
    /// Intra-op threads.
    pub threads: usize,
    /// Images in a batch.
    pub batch: usize,
    /// The rule of warm-up and repeats, in words.
    pub protocol: String,
    /// The latency table, if latencies are sums over blocks. Journals from before this field have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableUse>,
}

/// The latency table that a run's latencies come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableUse {
    /// `table`: built on a machine of its own engine; `imported`: brought from another device.
    pub source: String,
    /// SHA-256 of its file, in hex.
    pub digest: String,
    /// Where its times were taken, in words.
    pub device: String,
    /// Distinct blocks in it.
    pub blocks: usize,
    /// Whole networks that its line was fitted on.
    pub fit_nets: usize,
    /// Other networks that it was judged by; 0 if it was not.
    pub nets: usize,
}
