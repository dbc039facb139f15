//! Writes a network as PyTorch source: one reading of the graph, to text that needs torch alone.
//!
//! The operations are grouped by their paths to modules, so that the tensors have their names in checkpoints. Modules with
//! the same operations and edges are one class, which takes the numbers that differ as arguments; so are modules that
//! differ in parts that some lack. The source takes images of other sizes than the graph's, unless tables fix the size;
//! their sides must then be multiples of the graph's strides and patches.
//!
//! Every value has at most four axes, and there are no fused operations, so that the converters to mobile formats take the
//! source: rows of patches are rows of more images, and the batch is -1 where values are reshaped.

mod args;
mod classes;
mod error;
mod example;
mod form;
mod forward;
mod helpers;
mod init;
mod lower;
mod merge;
mod parts;
mod pool;
mod source;
mod template;
mod tree;

pub use error::PytorchError;
pub use example::{Anchors, Shows, example};
pub use parts::size;
pub use source::{class_name, source};
