//! The one description of a network: a graph of primitive operations, whose shapes are checked as it is built.

mod block;
pub mod block_cache;
mod builder;
pub mod cost;
mod dilated;
mod dilation;
mod error;
pub mod fnv;
pub mod formula;
mod fuse;
mod graph;
pub mod latency_key;
pub mod memory;
mod op;
mod op_params;
mod op_shape;
mod param;
mod parts;
mod path;
mod plan;
pub mod regions;
mod regularize;
mod value;

pub use block::{Block, BlockKey};
pub use block_cache::BlockCache;
pub use builder::{Builder, Val};
pub use cost::{Cost, CostCache};
pub use error::ShapeError;
pub use fnv::Fnv;
pub use fuse::{Branch, Folded, fold_batch_norms};
pub use graph::{BlockRange, Graph, LOGITS, Node, Output, Readers};
pub use memory::{Memory, memory};
pub use op::{
    ActFn, BN_EPS_E7, Contraction, FOURIER_CHANNELS, Groups, InitStyle, LINEAR_ATTENTION_EPS, Layout, LearntInit, Op,
    OpKind, ScaleName,
};
pub use param::{Init, ParamSpec, Role, SliceRule, distances, fourier, offsets};
pub use path::{Path, PathSegment};
pub use plan::{Feature, IMAGE, PlacedBlock, Plan};
pub use regularize::{Regularization, regularize};
pub use value::{Dims, Section, Sections, Value};
