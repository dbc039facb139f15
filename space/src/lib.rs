//! What a network is, and what may vary: graphs, costs, families, genomes.
//!
//! A network is data; everything else reads it. A family is a table of configurations. A configuration becomes a
//! chain of blocks ([`ir::Plan`]), the chain a graph of primitive operations ([`ir::Graph`]); cost, latency keys, the
//! libtorch net, a slice of a supernet and the exporters are readings of that graph.
//!
//! Pure: no libtorch, no clock, no files.

pub mod blocks;
pub mod cost;
pub mod domain;
pub mod families;
pub mod genome;
pub mod ir;
pub mod latency_key;
pub mod memo;
pub mod memory;
pub mod onnx;
pub mod reach;
pub mod seed;
pub mod widths;

pub use cost::{Cost, Coster};
pub use domain::{Domain, Genome};
pub use genome::{Design, DesignError, Space, SpaceKnob};
pub use memo::Memo;
pub use memory::{Memory, memory};
pub use reach::Reachable;
pub use widths::{Widths, widths};
