//! Which part of a checkpoint is the weights, and what wrappers put before their names.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use super::stored::{Dict, EXPECTED, Other, Stored};
use crate::error::NetError;

/// Dictionaries of a checkpoint that hold the weights, the averaged ones first, as timm prefers them.
const DICTS: [&str; 7] =
    ["state_dict_ema", "model_ema", "ema_state_dict", "ema", "state_dict", "model", "model_state_dict"];

/// What wrappers put before names, the averaged weights' first.
const PREFIXES: [&str; 5] = ["ema.", "ema_model.", "module.", "_orig_mod.", "model."];

/// Tensors that wrappers put beside those of the network: `torch.optim.swa_utils.AveragedModel` counts its averages.
const COUNTS: [&str; 1] = ["n_averaged"];

/// A dictionary with tensors: where it is, and how many it has.
type Part = (String, usize);

/// The dictionary with the weights, and how it is called. A path of several keys is written with dots.
pub fn choose(dict: Dict, part: Option<&str>, path: &Path) -> Result<(Rc<Dict>, Vec<String>), NetError> {
    let holds = |n: &&str| dict.dicts.iter().any(|(name, d)| name == n && !d.tensors.is_empty());
    let name = part.map(str::to_string).or_else(|| DICTS.iter().find(|n| holds(n)).map(|n| n.to_string()));
    let dict = Rc::new(dict);
    let Some(name) = name else {
        // A loose number beside a part with weights is none of them.
        let more = dict.dicts.iter().any(|(_, d)| d.tensors.len() > dict.tensors.len());
        return if more || dict.tensors.is_empty() { Err(lost(&dict, None, path)) } else { Ok((dict, vec![])) };
    };
    match find(&dict, &name).filter(|d| !d.tensors.is_empty()) {
        Some(found) => Ok((found, vec![format!("part {name:?}")])),
        None => Err(lost(&dict, Some(&name), path)),
    }
}

fn find(dict: &Rc<Dict>, name: &str) -> Option<Rc<Dict>> {
    let inner = |n: &str| dict.dicts.iter().find(|(name, _)| name == n).map(|(_, d)| d.clone());
    // A key may have dots itself.
    let split = || name.match_indices('.').find_map(|(i, _)| find(&inner(&name[..i])?, &name[i + 1..]));
    inner(name).or_else(split)
}

/// The error where no weights were found: what there is instead.
fn lost(dict: &Dict, name: Option<&str>, path: &Path) -> NetError {
    let mut parts = Vec::new();
    parts_of(dict, "", 0, &mut parts);
    parts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    parts.truncate(12);
    let found = match name {
        Some(name) => match dict.others.iter().find(|o| o.name == name) {
            Some(other) => format!("its part {name:?} is {}", other.what),
            None => format!("no tensors in a part {name:?}"),
        },
        None if dict.tensors.is_empty() => "no tensors at its top level".to_string(),
        None => format!("only {} tensors at its top level", dict.tensors.len()),
    };
    let path = path.display().to_string();
    if parts.is_empty() {
        let found = format!("{found} (its entries: {})", listed(dict));
        return NetError::File { path, found, expected: EXPECTED.to_string() };
    }
    NetError::Part { path, found, parts }
}

/// All dictionaries with tensors, to a depth that a message can name.
fn parts_of(dict: &Dict, at: &str, depth: usize, all: &mut Vec<Part>) {
    for (name, inner) in dict.dicts.iter().take(64) {
        let name = format!("{at}{name}");
        if !inner.tensors.is_empty() {
            all.push((name.clone(), inner.tensors.len()));
        }
        if depth < 2 {
            parts_of(inner, &format!("{name}."), depth + 1, all);
        }
    }
}

fn listed(dict: &Dict) -> String {
    let other = |o: &Other| match o.what.starts_with("an object") {
        true => format!("{} ({})", o.name, o.what),
        false => o.name.clone(),
    };
    let all: Vec<String> = dict.dicts.iter().map(|(n, _)| n.clone()).chain(dict.others.iter().map(other)).collect();
    match all.len() {
        0 => "none".to_string(),
        n if n > 12 => format!("{}, and {} more", all[..12].join(", "), n - 12),
        _ => all.join(", "),
    }
}

/// Takes off what wrappers put before the names, and what they put beside the tensors. Where every name has one of the
/// prefixes, those of the first kind stay.
pub fn strip(tensors: &mut BTreeMap<String, Stored>, taken: &mut Vec<String>) -> Vec<Stored> {
    let (mut off, mut left_out) = (String::new(), Vec::new());
    let prefixed = |n: &String| PREFIXES.iter().any(|p| n.starts_with(p));
    while tensors.keys().any(prefixed) && tensors.keys().all(|n| prefixed(n) || COUNTS.contains(&n.as_str())) {
        let Some(prefix) = PREFIXES.iter().find(|p| tensors.keys().any(|n| n.starts_with(**p))) else { break };
        off.push_str(prefix);
        for (name, stored) in std::mem::take(tensors) {
            match name.strip_prefix(prefix) {
                Some(name) => drop(tensors.insert(name.to_string(), stored)),
                None => left_out.push(stored),
            }
        }
    }
    if !off.is_empty() {
        taken.push(format!("names without {off:?}"));
    }
    left_out
}
