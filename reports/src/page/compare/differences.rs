//! What differs between runs: their headers, and their configs key by key.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::ReportError;
use crate::page::folder::OutputFolder;
use crate::page::html::{Cell, paragraph, table};
use crate::run_data::RunData;

/// Keys with their values, one line each.
type Flat = BTreeMap<String, String>;

/// A row for each key that is not the same in all runs.
pub(super) fn render(runs: &[RunData], _: &mut OutputFolder) -> Result<String, ReportError> {
    let flats: Vec<Flat> = runs.iter().map(flat).collect();
    let mut keys: Vec<&String> = flats.iter().flat_map(BTreeMap::keys).collect();
    keys.sort();
    keys.dedup();
    let same = |key: &str| flats.windows(2).all(|w| w[0].get(key) == w[1].get(key));
    let cell = |value: Option<&String>| Cell::Text(value.map_or("–", String::as_str).to_owned());
    let row = |key: &&String| {
        let values = flats.iter().map(|f| cell(f.get(key.as_str())));
        [Cell::Code((*key).clone())].into_iter().chain(values).collect()
    };
    let rows: Vec<Vec<Cell>> = keys.iter().filter(|k| !same(k)).map(row).collect();
    let without = runs.iter().filter(|r| r.config.is_none()).count();
    let mut note = format!("{} of {} keys of the runs' headers and configs differ.", rows.len(), keys.len());
    if without > 0 {
        note += " Runs without a config.yaml in their folder are compared by their headers only.";
    }
    let heads: Vec<&str> = ["Key"].into_iter().chain(runs.iter().map(|r| r.header.name.as_str())).collect();
    Ok(paragraph(&note) + &table(&heads, &rows))
}

/// A run's header and config, without its name, its start and what follows from other keys.
fn flat(r: &RunData) -> Flat {
    let mut out = Flat::new();
    let mut header = serde_json::to_value(&r.header).unwrap_or_default();
    if let Some(map) = header.as_object_mut() {
        ["name", "started_unix", "config_digest", "format"].iter().for_each(|k| {
            map.remove(*k);
        });
    }
    put(&mut out, "run", &header);
    let config = r.config.as_deref().and_then(|text| serde_yaml::from_str::<Value>(text).ok());
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
