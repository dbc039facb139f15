//! Graphs of `mobilenas-space` in libtorch: stand-alone networks, slices of a supernet, networks frozen for deployment.
//!
//! A network is `(Graph, Params)`: see [`Net::bind`] and [`params`].

pub mod device;
pub mod error;
mod exec;
pub mod formula;
mod inherit;
mod input;
mod layout;
mod mode;
pub mod net;
pub mod onnx;
pub mod params;
mod regions;
mod relative;
pub mod store;
pub mod threads;
pub mod tracked;
pub mod tuned;
mod waiting;
pub mod weights;

// What tests of all kinds share calls the crate by its name.
#[cfg(test)]
extern crate self as mobilenas_torch;

pub use error::{NetError, OpError};
pub use formula::Formula;
pub use mobilenas_native::{ProcessGroup, keep_freed_memory};
pub use mode::Mode;
pub use net::Net;
pub use params::{Frozen, Owned, Params, PerWidthNorm, Resized, Shared};
pub use regions::Region;
pub use store::{Names, ParamStore, Values};
pub use tracked::TrackedStats;
pub use tuned::{FixedKernels, KernelSelector, TunedNet};
pub use waiting::Waiting;
