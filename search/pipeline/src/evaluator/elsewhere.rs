//! Latencies that workers measured.

use std::collections::HashMap;

use mobilenas_record::run::Latency;

use super::SupernetEvaluator;

/// A latency that a worker measured, or why there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Elsewhere {
    /// The latency.
    pub latency: Result<Latency, String>,
    /// Seconds that it took.
    pub seconds: f64,
}

impl SupernetEvaluator<'_> {
    /// From now on latencies are those that workers measured; `unit_ms` is one unit of latency there.
    pub fn measured_elsewhere(&mut self, unit_ms: f64) {
        self.unit_ms = unit_ms;
        self.elsewhere = Some(HashMap::new());
    }

    /// Whether the latency of a network with this digest is known.
    pub fn knows_elsewhere(&self, digest: &str) -> bool {
        self.elsewhere.as_ref().is_some_and(|all| all.contains_key(digest))
    }

    /// Takes what a worker measured.
    pub fn take_elsewhere(&mut self, digest: String, found: Elsewhere) {
        self.elsewhere.get_or_insert_default().insert(digest, found);
    }

    /// What a worker measured.
    pub(super) fn elsewhere_latency(&self, digest: &str) -> Result<Latency, String> {
        let found = self.elsewhere.as_ref().and_then(|all| all.get(digest));
        found.map_or_else(|| Err("no worker measured it".to_string()), |found| found.latency.clone())
    }
}
