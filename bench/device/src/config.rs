//! A device as a config names it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Map, Value as Json};

use crate::{DEVICES, DeviceKind, Link, Runner, Settings, device};

/// A device with its settings, as a config names it: `{ssh: {host: pi.local, runner: {...}}}`.
#[derive(Clone, Debug)]
pub struct DeviceConfig {
    kind: &'static DeviceKind,
    settings: Arc<dyn Settings>,
}

impl DeviceConfig {
    /// Its entry in [`DEVICES`].
    pub fn kind(&self) -> &'static DeviceKind {
        self.kind
    }

    /// What runs a network there.
    pub fn runner(&self) -> &Runner {
        self.settings.runner()
    }

    /// The way to it.
    pub fn link(&self) -> Box<dyn Link> {
        self.settings.link()
    }

    /// Mistakes that the types alone do not show: the key of each, as `ssh.runner.unit`, and a message.
    pub fn validate(&self) -> Vec<(String, String)> {
        let mistakes = self.runner().resolve().err().unwrap_or_default();
        let at = |key: &str| match key {
            "" => format!("{}.runner", self.kind.name),
            key => format!("{}.runner.{key}", self.kind.name),
        };
        mistakes.into_iter().map(|(key, message)| (at(key), message)).collect()
    }
}

impl PartialEq for DeviceConfig {
    fn eq(&self, other: &DeviceConfig) -> bool {
        let settings = |c: &DeviceConfig| serde_json::to_value(&*c.settings).ok();
        self.kind.name == other.kind.name && settings(self) == settings(other)
    }
}

impl Serialize for DeviceConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.kind.name, &*self.settings)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for DeviceConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DeviceConfig, D::Error> {
        let mut map = BTreeMap::<String, Json>::deserialize(deserializer)?;
        let (Some((name, settings)), true) = (map.pop_first(), map.is_empty()) else {
            return Err(D::Error::custom("expected one device"));
        };
        let kind = device(&name).ok_or_else(|| D::Error::custom(format!("there is no device {name:?}")))?;
        let settings = (kind.read)(settings).map_err(|e| D::Error::custom(format!("device {name}: {e}")))?;
        Ok(DeviceConfig { kind, settings })
    }
}

impl JsonSchema for DeviceConfig {
    fn schema_name() -> Cow<'static, str> {
        "Device".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut property = |kind: &DeviceKind| {
            let mut schema = (kind.schema)(generator);
            schema.insert("description".to_string(), kind.help.into());
            (kind.name.to_string(), Json::from(schema))
        };
        let properties: Map<String, Json> = DEVICES.iter().map(&mut property).collect();
        json_schema!({
            "type": "object",
            "description": "One device with its settings.",
            "properties": properties,
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1,
            "examples": [{ "ssh": { "host": "pi.local", "runner": { "tool": "onnxruntime_perf_test" } } }],
        })
    }
}
