//! Photos: read, turned upright, resized, cut and normalised as the published networks want them.

pub mod decode;
pub mod folder;
pub mod preprocess;
mod resize;
pub mod tally;

pub use decode::{Damaged, decode};
pub use folder::Folder;
pub use preprocess::{Float, Pipeline};
pub use tally::Tally;
