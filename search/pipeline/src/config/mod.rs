//! Configs: strict YAML in, checked values out. The types here are the one description: the JSON schema, the messages and
//! the defaults all follow from them.

mod check;
mod defaults;
pub mod difference;
mod entries;
mod error;
mod file;
mod genome;
mod load;
mod name;
mod renamed;
mod schema;
mod search;
mod spaces;
mod study;
#[cfg(test)]
mod tests;
mod train;
mod types;
mod validate;
pub mod yaml;

pub use error::ConfigError;
pub use file::{FILE, Origin, digest, text_digest, to_yaml};
pub use genome::load_genome;
pub use load::{Loaded, load, load_bench, load_device, load_from, load_gate, load_study, load_train};
pub use mobilenas_bench::models::published;
pub use mobilenas_bench::profile::settings::*;
pub use mobilenas_bench::regression::settings::*;
pub use mobilenas_bench::settings::*;
pub use mobilenas_coordinator::settings::*;
pub use mobilenas_data::settings::*;
pub use mobilenas_device::DeviceConfig;
pub use mobilenas_evaluator::settings::*;
pub use mobilenas_heads::HeadConfig;
pub use mobilenas_host::{Problem, Problems, nearest};
pub use mobilenas_strategy::{Allocation, StrategyConfig};
pub use mobilenas_torch::device::DeviceName as Device;
pub use mobilenas_train::recipe::*;
pub use mobilenas_train::settings::*;
pub use mobilenas_train::task_config::*;
pub use schema::{bench_schema, gate_schema, schema, study_schema, train_schema};
pub use search::*;
pub use spaces::{NamedSpace, Scale, Space, SpaceEntry};
pub use study::*;
pub use train::*;
pub use types::*;
pub use yaml::Node;
