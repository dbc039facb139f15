//! Data: datasets, transforms, samplers and the data loader. No libtorch: a batch is plain numbers.

pub mod dataset;
pub mod loader;
pub mod settings;
pub mod target;
pub mod transform;

pub use dataset::{DataError, Dataset};
pub use loader::{Batch, DataLoader, LoaderConfig, Normalization, Prefetcher, TransformedDataset};
pub use target::{Labels, Target};
