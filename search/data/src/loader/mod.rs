//! Batches of images. A training asks its [`DataLoader`] for the batch of a step and knows nothing of where it comes from;
//! scoring goes through a list once, with [`TransformedDataset::batches`].

mod budget;
mod damaged;
#[allow(clippy::module_inception)]
mod loader;
mod normalization;
mod prefetch;
mod sampler;
mod transformed;

use crate::Target;

pub use budget::MemoryBudget;
pub use damaged::DamagedImages;
pub use loader::{DataLoader, LoaderConfig};
pub use normalization::Normalization;
pub use prefetch::Prefetcher;
pub use sampler::{Formula, MultiScale, Sampler};
pub use transformed::TransformedDataset;

/// Images with their targets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Normalised pixel values `[B, C, H, W]`; C is 1 or 3.
    pub values: Vec<f32>,
    /// Channels, height and width of each image.
    pub shape: (usize, usize, usize),
    /// The target of each image. Of mixed images, that of the first.
    pub targets: Vec<Target>,
    /// Class probabilities of mixed images, `[B, classes]`, with label smoothing in them; none where nothing is mixed.
    pub mixed: Option<Vec<f32>>,
}
