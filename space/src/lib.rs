//! What a network is and what may vary in it: graphs, costs, families, genomes.
//!
//! A network is data; everything else reads it. A family is a table of configurations. A configuration becomes a
//! chain of blocks ([`ir::Plan`]), the chain a graph of primitive operations ([`ir::Graph`]); cost, latency keys, the
//! libtorch net, a slice of a supernet and the exporters are readings of that graph.
//!
//! Pure: no libtorch, no clock, no files.

pub mod change;
pub mod domain;
pub mod families;
pub mod genome;
pub mod reachable;
pub mod seed;
mod space_error;
pub mod widths;

pub use mobilenas_blocks as blocks;
pub use mobilenas_ir as ir;
pub use mobilenas_ir::{
    BlockCache, Cost, CostCache, Fnv, Memory, block_cache, cost, fnv, formula, latency_key, memory,
};

pub use change::{ChangeError, ChangeKnob, PlanChange};
pub use domain::{Domain, Genome};
pub use genome::{RESOLUTION, Space, SpaceConfig, SpaceKnob};
pub use reachable::Reachable;
pub use space_error::{SpaceError, UNKNOWN_KNOB};
pub use widths::{Widths, widths};
