//! The one description of a network: a graph of primitive operations, whose shapes are checked as it is built.

mod block;
mod builder;
mod error;
mod fuse;
mod graph;
mod op;
mod op_params;
mod op_shape;
mod param;
mod path;
mod regularize;
mod value;

pub use block::{Block, BlockKey, PlacedBlock, Plan};
pub use builder::{Builder, Val};
pub use error::ShapeError;
pub use fuse::{Folded, fold_batch_norms};
pub use graph::{BlockRange, Graph, Node, Readers};
pub use op::{ActFn, BN_EPS, Contraction, GROUP_NORM_EPS, Groups, InitStyle, Layout, Op, OpKind};
pub use param::{Init, ParamSpec, Role, SliceRule, distances};
pub use path::{Path, PathSegment};
pub use regularize::{Regularization, regularize};
pub use value::{Dims, Section, Sections, Value};
