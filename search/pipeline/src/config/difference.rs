//! Whether a run may go on with a config: what differs from the one that it began with, key by key.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::file::{read, sound};
use super::{Config, ConfigError, Origin, StudyConfig, TrainConfig};

/// A config that a run can be resumed with.
pub trait Resumable: Serialize + DeserializeOwned + JsonSchema {
    /// Keys that change no result: they may differ.
    const FREE: &[&str];
    /// Keys that may be raised, and what a config has that leaves one out, none for no limit: what was done stays as it
    /// is, and more of the same follows.
    const RAISED: &[(&str, Option<u64>)] = &[];

    /// Whether a key that differs changes no result, given the rest of both configs.
    fn is_free(_key: &str, _run: &Self, _own: &Self) -> bool {
        false
    }
}

impl Resumable for Config {
    // The header of a run holds the digest of its latency table, wherever the file is.
    const FREE: &[&str] =
        &["name", "checkpoint_seconds", "search.workers", "search.cache", "search.max_failures", "latency.table"];
    const RAISED: &[(&str, Option<u64>)] = &[
        ("search.trials", None),
        ("search.minutes", None),
        ("retrain.best", None),
        ("retrain.seeds", Some(1)),
        ("search.landmarks", Some(0)),
    ];

    fn is_free(key: &str, run: &Config, own: &Config) -> bool {
        let own_table = key.starts_with("spaces.") && key.ends_with(".table");
        own_table || key == "retrain.workers" && run.retrain_threads() == own.retrain_threads()
    }
}

impl Resumable for StudyConfig {
    const FREE: &[&str] = &["name", "checkpoint_seconds"];
}

impl Resumable for TrainConfig {
    const FREE: &[&str] = &["name", "checkpoint_seconds"];
}

/// A key whose value differs.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The key.
    pub key: String,
    /// Its value in the run.
    pub run: Json,
    /// Its value in the config at hand.
    pub own: Json,
}

impl Difference {
    /// What a raised limit is now and was before.
    pub fn raised_in_words(&self) -> String {
        let of = |value: &Json| if value.is_null() { "no limit".to_string() } else { value.to_string() };
        format!("{} {} in place of {}", self.key, of(&self.own), of(&self.run))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |value: &Json| if value.is_null() { "not set".to_string() } else { value.to_string() };
        write!(f, "{}: {} in the run, {} in this config", self.key, of(&self.run), of(&self.own))
    }
}

/// Keys that differ from those in the file of a run's config.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Differences {
    /// Those that keep the run from going on.
    pub forbidden: Vec<Difference>,
    /// Those that were raised.
    pub raised: Vec<Difference>,
}

/// Compares a config with the one in a run's folder. What the older one leaves out has its default.
///
/// # Errors
/// When the file cannot be read as a config.
pub fn differences<C: Resumable>(file: &Path, own: &C) -> Result<Differences, ConfigError> {
    let (_, json, problems) = read::<C>(file, Origin::Run)?;
    let run = sound(C::deserialize(&json).ok(), problems)?;
    let json = |c: &C| serde_json::to_value(c).unwrap_or_default();
    let mut found = compare::<C>(&json(&run), &json(own));
    found.forbidden.retain(|d| !C::is_free(&d.key, &run, own));
    Ok(found)
}

fn compare<C: Resumable>(run: &Json, own: &Json) -> Differences {
    let mut all = Vec::new();
    walk("", run, own, &mut all);
    let mut found = Differences::default();
    for difference in all {
        let key = difference.key.as_str();
        let within = |part: &&str| key.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        if C::FREE.iter().any(within) {
            continue;
        }
        let default = C::RAISED.iter().find(|(raised, _)| *raised == key).map(|(_, default)| *default);
        match default.and_then(|default| raised(&difference, default)) {
            Some(raised) => found.raised.push(raised),
            None => found.forbidden.push(difference),
        }
    }
    found
}

/// The difference with its defaults filled in, if the value is larger now. A limit that is not set is above every other.
fn raised(d: &Difference, default: Option<u64>) -> Option<Difference> {
    let filled = |value: &Json| match default {
        Some(default) if value.is_null() => default.into(),
        _ => value.clone(),
    };
    let limit = |value: &Json| filled(value).as_f64().unwrap_or(f64::INFINITY);
    let raised = Difference { key: d.key.clone(), run: filled(&d.run), own: filled(&d.own) };
    (limit(&d.own) > limit(&d.run)).then_some(raised)
}

fn walk(key: &str, run: &Json, own: &Json, all: &mut Vec<Difference>) {
    let at = |name: &str| if key.is_empty() { name.to_string() } else { format!("{key}.{name}") };
    match (run, own) {
        (Json::Object(a), Json::Object(b)) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                walk(&at(name), a.get(name).unwrap_or(&Json::Null), b.get(name).unwrap_or(&Json::Null), all);
            }
        }
        (Json::Array(a), Json::Array(b)) if a.len() == b.len() && a.iter().chain(b).all(Json::is_object) => {
            a.iter().zip(b).enumerate().for_each(|(i, (x, y))| walk(&at(&i.to_string()), x, y, all));
        }
        _ if run == own => {}
        _ => all.push(Difference { key: key.to_string(), run: run.clone(), own: own.clone() }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    const BASE: &str = "name: a\nspace: {family: mobilevit_v1}\nsearch: {strategy: {nsga2: {}}, trials: 3}\n";

    fn found(run: &str, own: &str) -> Differences {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let own = super::super::load(&file("own.yaml", own)).unwrap().config;
        differences(&file("config.yaml", run), &own).unwrap()
    }

    #[test]
    fn keys_that_differ_are_named_with_both_values() {
        let own = BASE.replace("{nsga2: {}}", "{random: {}}") + "seed: 2\ndata: {train_limit: 9}\n";
        let all = found(BASE, &own).forbidden;
        let keys: Vec<&str> = all.iter().map(|d| d.key.as_str()).collect();
        assert_eq!(keys, ["data.train_limit", "search.strategy.nsga2", "search.strategy.random", "seed"]);
        assert_eq!(all[0].to_string(), "data.train_limit: not set in the run, 9 in this config");
        assert_eq!(all[2].to_string(), "search.strategy.random: not set in the run, {} in this config");
        assert_eq!(all[3].to_string(), "seed: 1 in the run, 2 in this config");
    }

    #[test]
    fn what_changes_no_result_may_differ_and_trials_may_be_raised() {
        let other =
            BASE.replace("name: a", "name: b\ncheckpoint_seconds: 7").replace("trials: 3", "trials: 3, workers: 2");
        assert_eq!(found(BASE, &other), Differences::default());
        let raised = found(BASE, &BASE.replace("trials: 3", "trials: 5")).raised;
        assert_eq!(
            raised.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["search.trials: 3 in the run, 5 in this config"]
        );
        let lowered = found(BASE, &BASE.replace("trials: 3", "trials: 2"));
        assert_eq!((lowered.raised.len(), lowered.forbidden.len()), (0, 1));
        // No limit is more than any.
        let limited = BASE.replace("trials: 3", "trials: 3, minutes: 5");
        assert_eq!(found(&limited, BASE).raised.len(), 1);
        assert_eq!(found(BASE, &limited).forbidden.len(), 1);
        // One seed is what a config has that names none.
        let seeds = |n: usize| format!("{BASE}retrain: {{seeds: {n}}}\n");
        let raised = found(BASE, &seeds(4)).raised;
        assert_eq!(raised[0].raised_in_words(), "retrain.seeds 4 in place of 1");
        assert_eq!(found(&seeds(2), &seeds(3)).raised.len(), 1);
        assert_eq!(
            found(&seeds(2), BASE).forbidden[0].to_string(),
            "retrain.seeds: 2 in the run, not set in this config"
        );
        assert_eq!(found(&seeds(1), BASE), Differences::default());
    }

    #[test]
    fn tables_of_spaces_may_lie_elsewhere_and_nothing_else_of_a_space_may_differ() {
        let of = |table: &str, depth: u32| {
            format!(
                "name: a\nspaces: [{{name: one, family: mobilevit_v1, table: {table}, knobs: {{stages.1.depth: [{depth}]}}}}]\n\
                 latency: {{source: imported}}\nsearch: {{strategy: {{nsga2: {{}}}}, trials: 3}}\n"
            )
        };
        assert_eq!(found(&of("a.json", 1), &of("b.json", 1)), Differences::default());
        let told: Vec<String> =
            found(&of("a.json", 1), &of("a.json", 2)).forbidden.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["spaces.0.knobs.stages.1.depth: [1] in the run, [2] in this config"]);
    }

    #[test]
    fn other_workers_may_go_on_with_trainings_of_as_many_threads() {
        let workers = |n: u32| format!("{BASE}threads: 6\nretrain: {{workers: {n}}}\n");
        for (run, own) in [(4, 6), (6, 9), (3, 3)] {
            assert_eq!(found(&workers(run), &workers(own)), Differences::default(), "{run} {own}");
        }
        let told = |run: u32, own: u32| found(&workers(run), &workers(own)).forbidden[0].to_string();
        assert_eq!(told(2, 4), "retrain.workers: 2 in the run, 4 in this config");
        assert_eq!(told(1, 2), "retrain.workers: not set in the run, 2 in this config");
    }

    #[test]
    fn keys_with_a_default_that_the_run_does_not_know_and_old_names_are_no_difference() {
        let run =
            BASE.replace("trials: 3", "trials: 3, until_still: {trials: 4}, failures: 5") + "latency: {race: 12}\n";
        let own = BASE.replace("trials: 3", "trials: 3, early_stopping: {patience: 4}");
        assert_eq!(found(&run, &own), Differences::default());
    }
}
