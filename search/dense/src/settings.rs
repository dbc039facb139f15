//! What a config says about boxes and class maps.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::DenseError;
use crate::dataset::{DENSE_DATASETS, DenseDataset, DenseReader, ReadOptions, dense_dataset};

/// A dataset by its name.
#[derive(Clone, Copy, Debug)]
pub struct DenseDataName(&'static dyn DenseReader);

impl DenseDataName {
    /// The dataset of that name.
    pub fn named(name: &str) -> Option<DenseDataName> {
        dense_dataset(name).map(DenseDataName)
    }

    /// What reads it.
    pub fn reader(self) -> &'static dyn DenseReader {
        self.0
    }
}

impl PartialEq for DenseDataName {
    fn eq(&self, other: &DenseDataName) -> bool {
        self.0.name() == other.0.name()
    }
}

impl Serialize for DenseDataName {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for DenseDataName {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<DenseDataName, D::Error> {
        let name = String::deserialize(d)?;
        DenseDataName::named(&name).ok_or_else(|| serde::de::Error::custom(format!("no dataset is called {name}")))
    }
}

impl JsonSchema for DenseDataName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DenseDataName".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let help: Vec<String> = DENSE_DATASETS.iter().map(|d| format!("{}: {}", d.name(), d.help())).collect();
        schemars::json_schema!({
            "description": format!("A dataset of boxes or class maps. {}.", help.join("; ")),
            "type": "string",
            "enum": DENSE_DATASETS.iter().map(|d| d.name()).collect::<Vec<_>>(),
        })
    }
}

/// Images with boxes or class maps, and their splits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DenseDataConfig {
    /// The dataset.
    pub name: DenseDataName,
    /// Its folder.
    pub dir: PathBuf,
    /// The split that is trained on.
    #[serde(default = "train")]
    pub train: String,
    /// The split that is scored on.
    #[serde(default = "val")]
    pub val: String,
    /// The share of entries, images and objects, that may be damaged; one more stops the run.
    #[serde(default = "damaged_limit")]
    #[schemars(range(min = 0, max = 1))]
    pub damaged_limit: f64,
    /// Whether each image's file is looked at before anything is done with it.
    #[serde(default = "check_images")]
    pub check_images: bool,
}

fn train() -> String {
    "train".into()
}

fn val() -> String {
    "val".into()
}

fn damaged_limit() -> f64 {
    ReadOptions::default().damaged_limit
}

fn check_images() -> bool {
    ReadOptions::default().check_images
}

impl DenseDataConfig {
    /// Reads a split; objects get their masks if `masks`.
    ///
    /// # Errors
    /// When files are missing, or more entries are damaged than may be.
    pub fn load(&self, split: &str, masks: bool) -> Result<DenseDataset, DenseError> {
        let options = ReadOptions { damaged_limit: self.damaged_limit, check_images: self.check_images, masks };
        self.name.reader().load(&self.dir, split, &options)
    }
}
