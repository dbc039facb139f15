//! The table of what differs between runs: their headers, and their configs key by key.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::html::{self, Cell, paragraph, section};
use crate::Frame;

/// Keys with their values, one line each.
type Flat = BTreeMap<String, String>;

/// The section: a row for each key that is not the same in all runs.
pub(super) fn section_of(frames: &[&Frame]) -> String {
    let flats: Vec<Flat> = frames.iter().map(|f| flat(f)).collect();
    let mut keys: Vec<&String> = flats.iter().flat_map(BTreeMap::keys).collect();
    keys.sort();
    keys.dedup();
    let same = |key: &str| flats.windows(2).all(|w| w[0].get(key) == w[1].get(key));
    let cell = |value: Option<&String>| Cell::Text(value.map_or("–", String::as_str).to_owned());
    let row = |key: &&String| {
        let values = flats.iter().map(|f| cell(f.get(key.as_str())));
        [Cell::Code(vec![(*key).clone()])].into_iter().chain(values).collect()
    };
    let rows: Vec<Vec<Cell>> = keys.iter().filter(|k| !same(k)).map(row).collect();
    let without = frames.iter().filter(|f| f.config.is_none()).count();
    let mut note = format!("{} of {} keys of the runs' headers and configs differ.", rows.len(), keys.len());
    if without > 0 {
        note += " Runs without a config.yaml in their folder are compared by their headers alone.";
    }
    let heads: Vec<&str> = ["Key"].into_iter().chain(frames.iter().map(|f| f.run.name.as_str())).collect();
    section("differences", "What differs", &(paragraph(&note) + &html::table(&heads, &rows)))
}

/// A run's header and config. What follows from others, and the time it began, is left out.
fn flat(f: &Frame) -> Flat {
    let mut out = Flat::new();
    let mut header = serde_json::to_value(&f.run).unwrap_or_default();
    if let Some(map) = header.as_object_mut() {
        ["name", "started_unix", "config_digest", "format"].iter().for_each(|k| {
            map.remove(*k);
        });
    }
    put(&mut out, "run", &header);
    let config = f.config.as_deref().and_then(|text| serde_yaml::from_str::<Value>(text).ok());
    if let Some(config) = config {
        put(&mut out, "config", &config);
        out.remove("config.name");
    }
    out
}

fn put(out: &mut Flat, path: &str, value: &Value) {
    match value {
        Value::Object(map) => map.iter().for_each(|(k, v)| put(out, &format!("{path}.{k}"), v)),
        Value::String(text) => {
            out.insert(path.to_owned(), text.clone());
        }
        other => {
            out.insert(path.to_owned(), other.to_string());
        }
    }
}
