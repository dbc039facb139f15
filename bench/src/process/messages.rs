//! What is said over the pipes of a measuring process.

use mobilenas_heads::HeadOptions;
use mobilenas_space::SpaceConfig;
use serde::{Deserialize, Serialize};

use crate::interleaved::Series;

/// Version of what is said over the pipes; both builds of a comparison have to agree.
pub const PROTOCOL: u32 = 1;

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

/// A head by its name, and how it is made; its classes are those of the network below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadDesign {
    /// Its name.
    pub name: String,
    /// How it is made.
    pub options: HeadOptions,
}

/// Networks that are timed interleaved with the process' own, on the same engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InterleavedJob {
    /// What they are; with a head, the networks below it.
    pub designs: Vec<SpaceConfig>,
    /// The head that each of them gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadDesign>,
    /// Rounds, each of which has every network once in an order of its own.
    pub rounds: usize,
    /// What the orders derive from.
    pub seed: u64,
}

/// The times of an [`InterleavedJob`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InterleavedTimes {
    /// Those of each of its networks, in its order.
    pub series: Vec<Series>,
    /// Those of the process' own network, in ms, by round.
    pub reference_ms: Vec<f64>,
}
