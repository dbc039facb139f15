//! What a config says about a head.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::head::{Head, HeadOptions, Task};
use super::registry::{HEADS, head};

/// A head by its name.
#[derive(Clone, Copy, Debug)]
pub struct HeadName(&'static dyn Head);

impl HeadName {
    /// The head.
    pub fn head(self) -> &'static dyn Head {
        self.0
    }
}

impl PartialEq for HeadName {
    fn eq(&self, other: &HeadName) -> bool {
        self.0.name() == other.0.name()
    }
}

impl Serialize for HeadName {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for HeadName {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<HeadName, D::Error> {
        let name = String::deserialize(d)?;
        head(&name).map(HeadName).ok_or_else(|| serde::de::Error::custom(format!("no head is called {name}")))
    }
}

impl JsonSchema for HeadName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HeadName".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let help: Vec<String> =
            HEADS.iter().map(|h| format!("{}: {}, {}", h.name(), h.task().name(), h.cite())).collect();
        schemars::json_schema!({
            "description": format!("A head. {}.", help.join("; ")),
            "type": "string",
            "enum": HEADS.iter().map(|h| h.name()).collect::<Vec<_>>(),
        })
    }
}

/// The head of a network for detection or segmentation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HeadConfig {
    /// The head; if left out, the first of the task: ssdlite, deeplabv3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<HeadName>,
    /// Pixels of the image from one position of the last feature map to the next; if left out, the head's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 8, max = 32))]
    pub output_stride: Option<u32>,
    /// Channels of the head, before its classifier or, of a detector, of its widest map; if left out, the head's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 8192))]
    pub width: Option<u32>,
    /// Whether logits are resized to the image corner to corner; if left out, as the head's paper does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub align_corners: Option<bool>,
    /// Whether training has a loss on an auxiliary head, too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub auxiliary: bool,
}

impl HeadConfig {
    /// The head that is meant for a task.
    pub fn head(&self, task: Task) -> Option<&'static dyn Head> {
        self.name.map(HeadName::head).or_else(|| super::registry::first(task))
    }

    /// How it is made for so many classes; of a detector, with the background.
    pub fn options(&self, classes: u32) -> HeadOptions {
        HeadOptions {
            output_stride: self.output_stride,
            width: self.width,
            align_corners: self.align_corners,
            auxiliary: self.auxiliary,
            ..HeadOptions::new(classes)
        }
    }
}
