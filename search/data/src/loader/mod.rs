//! Batches of images. A training asks its [`DataLoader`] for the batch of a step and knows nothing of where it comes from;
//! scoring goes through a list once, with [`TransformedDataset::batches`].

mod batch;
mod budget;
mod damaged;
#[allow(clippy::module_inception)]
mod loader;
mod normalization;
mod prefetch;
mod sampler;
mod share;
mod transformed;

pub use batch::Batch;
pub use budget::MemoryBudget;
pub use damaged::DamagedImages;
pub use loader::{DataLoader, LoaderConfig};
pub use normalization::Normalization;
pub use prefetch::Prefetcher;
pub use sampler::{Formula, MultiScale, Sampler};
pub use share::Share;
pub use transformed::TransformedDataset;
