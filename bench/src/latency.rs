//! The latency of one network in a search.

use std::sync::Arc;

use mobilenas_host::Clock;
use mobilenas_record::run::Latency;
use mobilenas_space::ir::Graph;
use mobilenas_torch::{Names, Net, Owned, ParamStore, Values};
use tch::Device;

use crate::Protocol;
use crate::engine::{self, EngineError, Setting};
use crate::process::InterleavedProcesses;

/// How networks are timed.
#[derive(Clone, Debug)]
pub struct LatencyProtocol {
    /// Warm-up and repeats.
    pub protocol: Protocol,
    /// Images in a batch.
    pub batch: usize,
    /// Intra-op threads.
    pub threads: usize,
    /// Name of the engine.
    pub engine: String,
    /// How candidates are timed interleaved with the reference in fresh processes, if they are.
    pub interleaved: Option<InterleavedProcesses>,
}

impl LatencyProtocol {
    /// Times a network as it is deployed, with fresh weights: latency does not depend on them.
    ///
    /// # Errors
    /// When there is no such engine, or it refuses.
    pub fn latency(&self, graph: &Arc<Graph>, clock: &dyn Clock) -> Result<Latency, EngineError> {
        let store = ParamStore::with(graph, Names::Standalone, Values::Quick, Device::Cpu)?;
        let net = Net::bind(graph.clone(), &Owned(&store))?;
        let setting = Setting { batch: self.batch, threads: self.threads };
        let engine = engine::named(&self.engine)?;
        let samples = engine::latency(engine, &net, setting, clock, &self.protocol)?;
        Ok(Latency {
            median_ms: samples.median(),
            p10_ms: samples.quantile(0.1),
            p90_ms: samples.quantile(0.9),
            samples: samples.0.len(),
        })
    }
}
