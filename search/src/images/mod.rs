//! Photos: read, turned upright, resized, cut and normalised as the published networks want them.

pub mod affine;
pub mod cut;
pub mod decode;
pub mod enhance;
pub mod folder;
mod jpeg;
pub mod levels;
pub mod preprocess;
mod resize;
pub mod tally;

pub use cut::{Area, cut_file, cut_picture};
pub use decode::{Damaged, decode};
pub use folder::Folder;
pub use preprocess::{Float, Pipeline};
pub use tally::Tally;
