//! Graphs of `mobilenas-space` in libtorch: networks of their own, slices of a supernet, frozen for deployment.
//!
//! A network is `(Graph, Params)`: see [`Net::bind`] and [`params`].

pub mod device;
pub mod error;
mod exec;
mod forms;
pub mod formula;
pub mod net;
pub mod onnx;
pub mod params;
pub mod store;
pub mod tracked;
pub mod tuned;
pub mod weights;

pub use error::NetError;
pub use formula::Formula;
pub use net::{Mode, Net};
pub use params::{Apart, Frozen, Owned, Params, Resized, Shared};
pub use store::{Names, Store};
pub use tracked::Tracked;
pub use tuned::{Fixed, Judge, Tuned};
