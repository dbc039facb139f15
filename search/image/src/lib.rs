//! Images before they are tensors: read, turned upright, resized, cut, changed and normalised as the published networks want
//! them. A crate of its own, compiled as one unit: decoders and resizers are generic, and in a large crate their inner loops
//! fall apart into units that are not inlined into each other.

pub mod affine;
pub mod cut;
pub mod decode;
pub mod enhance;
pub mod hue;
mod jpeg;
pub mod levels;
mod limit;
mod picture;
mod planes;
pub mod preprocess;
mod resize;

pub use cut::{cut_file, cut_picture};
pub use decode::{Damaged, decode, is_image};
pub use picture::{Area, Picture};
pub use planes::planes;
pub use preprocess::{Float, Pipeline};
