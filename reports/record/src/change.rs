//! Changes of numbers in words.

use std::collections::{BTreeMap, BTreeSet};

/// A change of a number in words: `params 2317848 -> 2320000 (+0.09 %)`.
pub fn in_words(metric: &str, was: u64, is: u64) -> String {
    let relative = if was == 0 { String::new() } else { format!(" ({})", percent(is as f64 / was as f64 - 1.0)) };
    format!("{metric} {was} -> {is}{relative}")
}

/// A relative change in percent, with its sign and as many digits as show it.
pub fn percent(change: f64) -> String {
    let p = change * 100.0;
    match p.abs() {
        // Less is rounding: no count of parameters is long enough to change by it.
        x if x < 1e-9 => "+0 %".to_string(),
        x if x < 0.0095 => format!("{p:+.1e} %"),
        x if x < 10.0 => format!("{p:+.2} %"),
        _ => format!("{p:+.1} %"),
    }
}

/// A change of counts in words: `conv 34 -> 35, add 9 -> 8`.
pub fn counts_in_words(was: &BTreeMap<String, u64>, is: &BTreeMap<String, u64>) -> String {
    let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let of = |all: &BTreeMap<String, u64>, name: &String| all.get(name).copied().unwrap_or(0);
    let differ = names.into_iter().map(|name| (name, of(was, name), of(is, name))).filter(|(_, a, b)| a != b);
    differ.map(|(name, a, b)| format!("{name} {a} -> {b}")).collect::<Vec<_>>().join(", ")
}
