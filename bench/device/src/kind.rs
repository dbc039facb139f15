//! What the registry knows of a way to a device.

use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::link::Link;
use crate::runner::Runner;

/// Settings of a device: what a config says below the name of the way to it.
pub trait Settings: erased_serde::Serialize + fmt::Debug + Send + Sync {
    /// What runs a network there.
    fn runner(&self) -> &Runner;

    /// The way to it.
    fn link(&self) -> Box<dyn Link>;
}

erased_serde::serialize_trait_object!(Settings);

/// An entry of [`DEVICES`](crate::DEVICES).
#[derive(Debug)]
pub struct DeviceKind {
    /// Its name in configs.
    pub name: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
    pub(crate) schema: fn(&mut SchemaGenerator) -> Schema,
    pub(crate) read: fn(Json) -> serde_json::Result<Arc<dyn Settings>>,
}

impl DeviceKind {
    /// A way to a device with these settings.
    pub(crate) const fn new<S>(name: &'static str, help: &'static str) -> DeviceKind
    where
        S: Settings + DeserializeOwned + JsonSchema + 'static,
    {
        DeviceKind {
            name,
            help,
            schema: |generator| generator.subschema_for::<S>(),
            read: |json| Ok(Arc::new(serde_json::from_value::<S>(json)?)),
        }
    }
}
