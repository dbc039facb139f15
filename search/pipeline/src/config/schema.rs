//! The JSON schemas, made from the types.

use serde_json::Value as Json;

use super::file::schema_of;
use super::{BenchConfig, Config, RegressionConfig, StudyConfig, TrainConfig};

fn titled<T: schemars::JsonSchema>(title: &str) -> Json {
    let mut schema = schema_of::<T>();
    if let Some(map) = schema.as_object_mut() {
        map.insert("title".into(), title.into());
    }
    schema
}

/// The JSON schema of a search's config, by which editors complete.
pub fn schema() -> Json {
    titled::<Config>("mobilenas search config")
}

/// The JSON schema of a training's config.
pub fn train_schema() -> Json {
    titled::<TrainConfig>("mobilenas train config")
}

/// The JSON schema of a study's config.
pub fn study_schema() -> Json {
    titled::<StudyConfig>("mobilenas study config")
}

/// The JSON schema of a config of `bench check`.
pub fn gate_schema() -> Json {
    titled::<RegressionConfig>("mobilenas bench check config")
}

/// The JSON schema of a config of measuring networks.
pub fn bench_schema() -> Json {
    titled::<BenchConfig>("mobilenas bench run config")
}
