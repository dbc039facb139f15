//! What a profile measures.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is measured: one row of the table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProfileCase {
    /// The network.
    pub model: String,
    /// The engine.
    pub engine: String,
    /// Intra-op threads.
    pub threads: usize,
    /// Images in a batch.
    pub batch: usize,
}

impl fmt::Display for ProfileCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}, threads {}, batch {}", self.model, self.engine, self.threads, self.batch)
    }
}
