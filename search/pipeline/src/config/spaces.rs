//! The space of a config, or its spaces: what each is, and the config of each by itself.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mobilenas_strategy::Allocation;
use mobilenas_train::settings::SupernetInit;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::types::Config;
use super::{LatencySource, yaml::Node};

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
    fn is_well_named(&self) -> bool {
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

impl Config {
    /// Its spaces, in their order.
    pub fn entries(&self) -> Vec<SpaceEntry> {
        let one = self.space.iter().cloned().map(SpaceEntry::only);
        one.chain(self.spaces.iter().enumerate().map(|(i, s)| s.entry(i))).collect()
    }

    /// The config of one of its spaces by itself: with the network that its supernet begins with, its latency table, and
    /// its part of the epochs of `supernet`. Of a config with `space` it is the config itself.
    pub fn of_entry(&self, entry: &SpaceEntry) -> Config {
        let mut own = Config { space: Some(entry.section.clone()), spaces: Vec::new(), ..self.clone() };
        let Some(s) = self.spaces.iter().find(|s| entry.name.as_deref() == Some(s.name())) else { return own };
        own.supernet.init.clone_from(&s.init);
        own.latency.table.clone_from(&s.table);
        let (n, recipe) = (self.spaces.len() as f64, &mut own.supernet.recipe);
        (recipe.epochs, recipe.warmup, recipe.cooldown) = (recipe.epochs / n, recipe.warmup / n, recipe.cooldown / n);
        recipe.warmup_steps = recipe.warmup_steps.map(|steps| steps / self.spaces.len() as u64);
        own
    }

    /// Mistakes of `spaces`, and of what belongs into them.
    pub(super) fn space_mistakes(&self) -> Vec<(Vec<String>, String)> {
        let (mut all, key) = (Vec::new(), |path: &str| path.split('.').map(String::from).collect::<Vec<_>>());
        let timed = self.latency.source == LatencySource::Measured;
        if self.spaces.is_empty() {
            if self.search.allocation != Allocation::default() {
                let found = self.search.allocation.name();
                all.push((key("search.allocation"), format!("found {found}, expected it beside spaces alone")));
            }
            return all;
        }
        if self.space.is_some() {
            all.push((key("space"), "found space and spaces, expected one of them".to_string()));
        }
        let moved = [
            ("supernet.init", self.supernet.init.is_some(), "init"),
            ("latency.table", self.latency.table.is_some(), "table"),
        ];
        for (at, _, own) in moved.into_iter().filter(|(_, there, _)| *there) {
            all.push((key(at), format!("found one beside spaces, expected the key {own} of each space")));
        }
        for (i, (s, entry)) in self.spaces.iter().zip(self.entries()).enumerate() {
            if !s.is_well_named() {
                let expected = "at most 100 letters, digits, _ and -";
                all.push((entry.key("name"), format!("found {:?}, expected {expected}", s.name())));
            }
            if let Some(first) = self.spaces[..i].iter().position(|other| other.name() == s.name()) {
                let message = format!("found {:?}, the name of spaces.{first}, too; expected distinct names", s.name());
                all.push((entry.key("name"), message));
            }
            if let Some(mistake) = s.init.as_ref().and_then(SupernetInit::mistake) {
                all.push((entry.key("init"), mistake.to_string()));
            }
            match (timed, &s.table) {
                (true, Some(table)) => {
                    let message = format!("found {table:?}, expected none with latency.source measured");
                    all.push((entry.key("table"), message));
                }
                (false, None) => {
                    all.push((entry.at, "missing key table, expected the file of a latency table".to_string()));
                }
                (true, None) | (false, Some(_)) => {}
            }
        }
        all
    }
}

/// What a config without any space is told.
pub(super) fn missing(tree: &Node) -> Option<&'static str> {
    let none = ["space", "spaces"].iter().all(|key| tree.get(key).is_none());
    none.then_some("missing key space, expected a map, or spaces, a list of them")
}
