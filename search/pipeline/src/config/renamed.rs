//! Keys that have a new name. A config with the old one is told the new one; the config in an older run's folder is read as
//! if it had the new one.

use super::yaml::{Node, Value};

/// The key above, the old name, the new name.
const RENAMED: &[(&str, &str, &str)] = &[
    ("augment", "erase", "random_erasing"),
    ("augment", "mix_switch", "mixup_switch_prob"),
    ("data", "side", "image_size"),
    ("distill", "lessons", "type"),
    ("distill", "share", "alpha"),
    ("early_stopping", "gain", "min_delta"),
    ("early_stopping", "trials", "patience"),
    ("latency", "race", "remeasure_processes"),
    ("mes_slimming", "probe", "actions_per_step"),
    ("multi_scale", "base", "base_size"),
    ("multi_scale", "sides", "sizes"),
    ("noise", "foreign", "other_load"),
    ("noise", "share", "max_noisy"),
    ("predictor", "explore", "exploration"),
    ("predictor", "warm", "initial_random"),
    ("processes", "fewest", "min"),
    ("processes", "most", "max"),
    ("processes", "width", "ci_width"),
    ("sampler", "repeats", "aug_repeats"),
    ("samples", "width", "ci_width"),
    ("search", "failures", "max_failures"),
    ("search", "until_still", "early_stopping"),
    ("supernet", "open", "progressive_order"),
    ("warmup", "agree", "tolerance"),
];

/// Sections with a recipe, and the keys of recipes.
const RECIPES: &[&str] = &["supernet", "retrain", "train"];
const RENAMED_IN_RECIPES: &[(&str, &str)] = &[
    ("accumulate", "grad_accum_steps"),
    ("lr_batch", "lr_base_size"),
    ("schedule", "schedule_interval"),
    ("skip", "max_nonfinite_steps"),
];

/// The new name of a key, if this is its old one.
pub fn new_name(above: &str, key: &str) -> Option<&'static str> {
    let own = RENAMED.iter().find(|(parent, old, _)| (*parent, *old) == (above, key)).map(|(.., new)| *new);
    let of_recipes = || RENAMED_IN_RECIPES.iter().find(|(old, _)| *old == key).map(|(_, new)| *new);
    own.or_else(|| of_recipes().filter(|_| RECIPES.contains(&above)))
}

/// Gives all keys of a tree their new names.
pub fn rename(tree: &mut Node) {
    below("", tree);
}

fn below(above: &str, node: &mut Node) {
    match &mut node.value {
        Value::Map(pairs) => {
            for (key, value) in pairs {
                if let Some(new) = new_name(above, &key.name) {
                    key.name = new.to_string();
                }
                below(&key.name, value);
            }
        }
        Value::Seq(items) => items.iter_mut().for_each(|item| below(above, item)),
        _ => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use serde_json::Value as Json;

    use super::super::{bench_schema, schema, study_schema, train_schema};
    use super::*;

    /// Names of properties by the key that holds the map they stand in.
    fn keys(root: &Json, schema: &Json, above: &str, depth: usize, found: &mut Vec<(String, String)>) {
        if let Some(name) = schema["$ref"].as_str().and_then(|r| r.rsplit('/').next()) {
            return keys(root, &root["$defs"][name], above, depth, found);
        }
        for part in schema["anyOf"].as_array().into_iter().flatten().chain([&schema["items"]]) {
            if part.is_object() {
                keys(root, part, above, depth, found);
            }
        }
        for (key, inner) in schema["properties"].as_object().into_iter().flatten().filter(|_| depth < 8) {
            found.push((above.to_string(), key.clone()));
            keys(root, inner, key, depth + 1, found);
        }
    }

    #[test]
    fn new_names_are_keys_of_a_schema_and_old_ones_are_not() {
        let mut all = Vec::new();
        for root in [schema(), study_schema(), train_schema(), bench_schema()] {
            keys(&root, &root, "", 0, &mut all);
        }
        let is_key = |above: &str, key: &str| all.iter().any(|(a, k)| a == above && k == key);
        for (above, old, new) in RENAMED {
            assert!(is_key(above, new), "{above}.{new}");
            assert!(!is_key(above, old), "{above}.{old}");
        }
        for (above, (old, new)) in RECIPES.iter().flat_map(|above| RENAMED_IN_RECIPES.iter().map(move |r| (above, r))) {
            assert!(is_key(above, new), "{above}.{new}");
            assert!(!is_key(above, old), "{above}.{old}");
        }
    }

    #[test]
    fn keys_are_renamed_below_renamed_ones_and_in_lists() {
        let text =
            "search: {until_still: {trials: 3, gain: 0}, trials: 9}\nstudy: {strategies: [{predictor: {warm: 5}}]}\n";
        let mut tree = super::super::yaml::parse(text).unwrap();
        rename(&mut tree);
        let early = tree.get("search").unwrap().get("early_stopping").unwrap();
        assert!(early.get("patience").is_some() && early.get("min_delta").is_some());
        assert!(tree.get("search").unwrap().get("trials").is_some());
        let Value::Seq(strategies) = &tree.get("study").unwrap().get("strategies").unwrap().value else { panic!() };
        assert!(strategies[0].get("predictor").unwrap().get("initial_random").is_some());
    }
}
