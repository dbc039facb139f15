//! Measuring: clock, protocol, statistics, host.
//!
//! Nothing here runs beside a timer: one thread of ours works while another is never started.

pub mod beside;
pub mod case;
pub mod clock;
pub mod engine;
pub mod gate;
pub mod host;
pub mod int8;
pub mod load;
pub mod memory;
pub mod protocol;
pub mod rounds;
pub mod settle;
pub mod stats;

pub use clock::{Clock, Wall};
pub use host::Host;
pub use protocol::{Protocol, Samples, measure};
pub use rounds::{Rounds, Series, rounds};
