//! Measuring: engines, protocols, worker processes, latency tables, `bench run`, and the regression gate.
//!
//! Nothing here runs beside a timer: one thread of ours works while another is never started.

pub mod beside;
pub mod cache;
pub mod case;
pub mod engine;
pub mod gate;
pub mod host;
pub mod int8;
pub mod latency;
pub mod latency_table;
pub mod paired_latency;
pub mod protocol;
pub mod rounds;
pub mod settings;
pub mod stats;

pub use host::Host;
pub use latency::LatencyProtocol;
pub use paired_latency::PairedLatency;
pub use protocol::{Protocol, Samples, measure};
pub use rounds::{Rounds, Series, rounds};
