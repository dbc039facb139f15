//! Measuring processes: a network's speed differs from process to process, so every comparison of times runs fresh
//! ones.
//!
//! [`serve`] is the measuring process, [`Client`] its asking side, [`Workload`] what it runs. After its first line,
//! [`Ready`], it answers each request with a line of JSON until its input ends:
//!
//! | request | answer |
//! |---|---|
//! | `pin N` | [`CallTime`] of nothing; it runs on that core only |
//! | `call` | [`CallTime`] of one call |
//! | `kernel` | [`CallTime`] of the calibration kernel |
//! | `window N` | [`CallTimes`] of so many calls, one after the other |
//! | `memory` | [`MemoryUse`] |
//! | `block JSON` | [`InterleavedTimes`] of the networks of an [`InterleavedJob`] and its own |

mod client;
mod error;
mod interleaved;
mod messages;
mod serve;
mod workload;

pub use client::Client;
pub use error::MeasureError;
pub use interleaved::InterleavedProcesses;
pub use messages::{CallTime, CallTimes, HeadDesign, InterleavedJob, InterleavedTimes, MemoryUse, PROTOCOL, Ready};
pub use serve::{Args, program, serve};
pub use workload::{WorkerProgram, Workload, published_graph};
