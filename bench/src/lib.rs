//! Measuring: engines, protocols, measuring processes, latency tables, `bench run`, and the regression check.
//!
//! Nothing here runs beside a timer: one thread of ours works while another is never started.

pub mod calibration;
pub mod engine;
pub mod host;
pub mod interleaved;
pub mod latency;
pub mod latency_table;
pub mod models;
pub mod noise;
pub mod on_device;
pub mod paired_latency;
pub mod process;
pub mod profile;
pub mod protocol;
pub mod regression;
pub mod settings;
pub mod stats;

pub use host::Host;
pub use interleaved::{Interleaving, Series, interleave, interleave_by};
pub use latency::LatencyProtocol;
pub use paired_latency::PairedLatency;
pub use protocol::{Protocol, Samples, measure};
