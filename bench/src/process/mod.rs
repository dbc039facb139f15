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
mod interleaved;
mod serve;
mod workload;

use mobilenas_host::WorkerError;
use mobilenas_space::ir::ShapeError;
use mobilenas_torch::NetError;
use serde::{Deserialize, Serialize};

pub use client::Client;
pub use interleaved::{InterleavedJob, InterleavedProcesses, InterleavedTimes};
pub use serve::{Args, program, serve};
pub use workload::{WorkerProgram, Workload, published_graph};

use crate::engine::EngineError;

/// Version of what is said over the pipes; both builds of a comparison have to agree.
pub const PROTOCOL: u32 = 1;

/// Why something could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// A measuring process did not start, or gave no answer.
    #[error("worker {0}")]
    Worker(#[from] WorkerError),
    /// A measuring process of an incompatible build.
    #[error("worker {program}: found protocol {found}, expected {PROTOCOL}")]
    Protocol {
        /// The program.
        program: String,
        /// The version that it speaks.
        found: u32,
    },
    /// A request that a measuring process does not know.
    #[error("request {line:?}: expected call, kernel, window N, memory, block JSON or pin N")]
    Request {
        /// The request.
        line: String,
    },
    /// The pipes of a measuring process.
    #[error("the asking program is gone: {0}")]
    Pipe(#[from] std::io::Error),
    /// The system does not let the process run on some cores.
    #[error("cores {cores:?}: {source}")]
    Cores {
        /// The cores.
        cores: Vec<usize>,
        /// What the system says.
        source: std::io::Error,
    },
    /// No published network has this name.
    #[error("{model}: no such network, expected a published one")]
    UnknownModel {
        /// The name.
        model: String,
    },
    /// A design that is none.
    #[error("the design of {model}: {message}")]
    Design {
        /// Name of the network.
        model: String,
        /// The first mistake.
        message: String,
    },
    /// The architecture.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// An engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// libtorch.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The user asked to stop.
    #[error("stopped")]
    Stopped,
}

/// The first line of a measuring process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ready {
    /// [`PROTOCOL`] of the process.
    pub protocol: u32,
    /// Its version.
    pub program: String,
    /// The engine with its version.
    pub engine: String,
    /// What the engine chose while it prepared the network.
    #[serde(default)]
    pub choices: Vec<(String, String)>,
    /// Side of its images in px.
    #[serde(default)]
    pub resolution: u32,
    /// Threads that libtorch says it uses.
    #[serde(default)]
    pub threads: usize,
    /// Cores that it may run on, as the system has them.
    #[serde(default)]
    pub cores: Vec<usize>,
    /// Milliseconds in which the engine prepared the network: folded, loaded, kernels chosen.
    #[serde(default)]
    pub prepare_ms: f64,
    /// Resident bytes before the network was made.
    #[serde(default)]
    pub start_bytes: Option<u64>,
}

/// The time of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CallTime {
    /// Milliseconds of wall time.
    pub ms: f64,
    /// Of these, milliseconds of added work.
    pub extra_ms: f64,
    /// Milliseconds of processor time of the whole process.
    pub cpu_ms: f64,
    /// Involuntary context switches meanwhile.
    pub preempted: u64,
}

/// The times of calls one after the other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CallTimes {
    /// Milliseconds of wall time of each, in order.
    pub ms: Vec<f64>,
    /// Milliseconds of processor time of the whole process, over all of them.
    pub cpu_ms: f64,
    /// Involuntary context switches meanwhile.
    pub preempted: u64,
}

/// Memory of a measuring process; none where the system or the engine does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryUse {
    /// The most bytes that were ever resident: preparing the network is part of it.
    pub peak_bytes: Option<u64>,
    /// The most bytes that were resident while it only ran.
    pub running_bytes: Option<u64>,
    /// The most bytes that the engine's allocator held at once during a call, beyond what it held before.
    pub allocator_bytes: Option<u64>,
}
