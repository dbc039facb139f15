//! The spaces of a config by themselves: where each stands, its own config, and mistakes between it and the others.

use mobilenas_strategy::Allocation;
use mobilenas_train::settings::SupernetInit;

use super::LatencySource;
use super::spaces::SpaceEntry;
use super::types::Config;
use super::yaml::{Node, Value};

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
    (matches!(tree.value, Value::Map(_)) && none)
        .then_some("missing key space, expected a map, or spaces, a list of them")
}
