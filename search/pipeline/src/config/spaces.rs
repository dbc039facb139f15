//! The spaces of a config: a family each, and what may vary.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mobilenas_train::settings::SupernetInit;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A family of networks and what may vary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Space {
    /// Name of the family.
    pub family: String,
    /// How the published widths are scaled.
    #[serde(default)]
    pub scale: Scale,
    /// Knob to choices; a knob left out has the choices of the family's published space, scaled.
    #[serde(default)]
    pub knobs: BTreeMap<String, Vec<i64>>,
}

/// Scaling of published widths.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Scale {
    /// Factor on every width.
    #[schemars(range(min = 0.01, max = 16))]
    pub width: f64,
    /// Scaled widths are rounded to multiples of it.
    #[schemars(range(min = 1, max = 64))]
    pub divisor: u32,
}

impl Default for Scale {
    fn default() -> Scale {
        Scale { width: 1.0, divisor: 8 }
    }
}

/// One of several spaces of a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedSpace {
    /// What rows, files and reports call it: letters, digits, `_` and `-`; the family's name if left out.
    #[serde(default)]
    pub name: Option<String>,
    /// Name of the family.
    pub family: String,
    /// How the published widths are scaled.
    #[serde(default)]
    pub scale: Scale,
    /// Knob to choices; a knob left out has the choices of the family's published space, scaled.
    #[serde(default)]
    pub knobs: BTreeMap<String, Vec<i64>>,
    /// A trained network that its supernet begins with, in the place of `supernet.init`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<SupernetInit>,
    /// The latency table of its networks, in the place of `latency.table`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<PathBuf>,
}

impl NamedSpace {
    /// What it is called.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.family)
    }

    /// Where it stands as the nth of its list.
    pub(super) fn entry(&self, n: usize) -> SpaceEntry {
        SpaceEntry {
            name: Some(self.name().to_string()),
            at: vec!["spaces".to_string(), n.to_string()],
            section: Space { family: self.family.clone(), scale: self.scale.clone(), knobs: self.knobs.clone() },
        }
    }

    /// Whether rows and files may be called by its name.
    pub(super) fn is_well_named(&self) -> bool {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        (1..=100).contains(&self.name().len()) && self.name().chars().all(allowed)
    }
}

/// A space of a config and where it stands there.
#[derive(Clone, Debug, PartialEq)]
pub struct SpaceEntry {
    /// Its name, where the config has `spaces`.
    pub name: Option<String>,
    /// Path of its section.
    pub at: Vec<String>,
    /// Its section.
    pub section: Space,
}

impl SpaceEntry {
    /// The space of a config with one.
    pub(super) fn only(section: Space) -> SpaceEntry {
        SpaceEntry { name: None, at: vec!["space".to_string()], section }
    }

    /// Path of a key of its section.
    pub(super) fn key(&self, key: &str) -> Vec<String> {
        self.at.iter().map(String::as_str).chain([key]).map(String::from).collect()
    }

    /// ` of the space NAME`, or nothing where there is one space.
    pub fn in_words(&self) -> String {
        self.name.as_ref().map_or_else(String::new, |name| format!(" of the space {name}"))
    }
}
