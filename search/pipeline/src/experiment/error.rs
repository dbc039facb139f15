//! What keeps a search from beginning.

use std::path::PathBuf;

use mobilenas_space::ir::ShapeError;

use crate::config::ConfigError;
use mobilenas_bench::engine::EngineError;
use mobilenas_bench::latency_table::TableError;
use mobilenas_data::dataset::DataError;
use mobilenas_torch::device::DeviceError;
use mobilenas_train::TrainError;

/// What keeps a search from beginning: the user's to mend.
#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    /// The config.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The config has no YAML.
    #[error("the config, written as YAML: {0}")]
    Yaml(#[from] serde_yaml::ser::Error),
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The table of latencies.
    #[error("latency.table: {0}")]
    Table(TableError),
    /// The table of latencies of one of several spaces.
    #[error("{key}: {error}")]
    TableOf {
        /// Its key.
        key: String,
        /// What is wrong with it.
        error: TableError,
    },
    /// Tables of several spaces whose sums cannot be compared.
    #[error("{key}: found a table of {found}, expected one like that of the first space, of {expected}")]
    OtherTable {
        /// Its key.
        key: String,
        /// What made it.
        found: String,
        /// What made the first.
        expected: String,
    },
    /// No genome meets the bounds.
    #[error("{}: no genome{space} found among {size:.3e} that meets search.bounds: the nearest has {missed}; its knobs: {knobs}", file.display())]
    Infeasible {
        /// The config.
        file: PathBuf,
        /// The space in words, where there are several.
        space: String,
        /// Genomes in it.
        size: f64,
        /// What the nearest misses.
        missed: String,
        /// The nearest.
        knobs: String,
    },
    /// A genome that is no network.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A network could not be timed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A network of a training's config; none is left once the config was checked.
    #[error("network: {}", found.as_deref().unwrap_or("found none, expected model or genome"))]
    Network {
        /// What is wrong with it.
        found: Option<String>,
    },
    /// The network that the supernet begins with.
    #[error("{key}: {found}, expected {expected}")]
    Init {
        /// Its key.
        key: String,
        /// What was found.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
    /// The supernet's tensors.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A side of the multi-scale sampler that the network has no form for.
    #[error("{}: {section}.sampler.multi_scale: found the side {side} ({why}), expected sides that every network has a form for", file.display())]
    Side {
        /// The config.
        file: PathBuf,
        /// The training it is said for.
        section: &'static str,
        /// The side.
        side: u32,
        /// What is wrong with it.
        why: String,
    },
    /// Too few images.
    #[error("{}: data.search_val: {found} images are left to train on, expected at least {expected}", file.display())]
    TooFew {
        /// The config.
        file: PathBuf,
        /// Images left.
        found: usize,
        /// Images needed.
        expected: usize,
    },
}

impl From<TableError> for ExperimentError {
    // Its words are in ours: as a source they would be told twice.
    fn from(e: TableError) -> ExperimentError {
        ExperimentError::Table(e)
    }
}
