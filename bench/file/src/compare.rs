//! Two files, or a file then and now, metric by metric.

use mobilenas_record::change::{counts_in_words, in_words};

use crate::exact::{Facts, FileExact, OutputNumbers};

/// Everything that is compared.
pub const METRICS: [&str; 9] =
    ["inputs", "outputs", "opset", "ops", "graph", "params", "weight_bytes", "weights", "macs"];

/// A metric of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its name; `values NAME` for an output.
    pub metric: String,
    /// How it came out.
    pub outcome: Outcome,
    /// The two values, where they are numbers.
    pub numbers: Option<[f64; 2]>,
    /// What changed, in words.
    pub words: String,
}

/// How a metric came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it was.
    Same,
    /// Another.
    Changed,
    /// Then it was not asked for.
    New,
    /// Now it is not asked for.
    Left,
}

fn text(metric: &str, same: bool, words: String) -> Change {
    let outcome = if same { Outcome::Same } else { Outcome::Changed };
    let words = if same { "unchanged".to_string() } else { words };
    Change { metric: metric.to_string(), outcome, numbers: None, words }
}

fn number(metric: &str, was: u64, is: u64) -> Change {
    Change { numbers: Some([was as f64, is as f64]), ..text(metric, was == is, in_words(metric, was, is)) }
}

fn digest(metric: &str, was: &str, is: &str) -> Change {
    let short = |d: &str| d.get(..8).unwrap_or(d).to_string();
    text(metric, was == is, format!("{metric} {} -> {}", short(was), short(is)))
}

fn list(metric: &str, was: &[String], is: &[String]) -> Change {
    let only = |a: &[String], b: &[String]| a.iter().filter(|v| !b.contains(v)).cloned().collect::<Vec<_>>();
    let (gone, new) = (only(was, is), only(is, was));
    let words = match (gone.as_slice(), new.as_slice()) {
        ([], []) => format!("another order of {metric}: {}", is.join(", ")),
        ([], new) => format!("new {}", new.join(", ")),
        (gone, []) => format!("gone {}", gone.join(", ")),
        (gone, new) => format!("{} -> {}", gone.join(", "), new.join(", ")),
    };
    text(metric, was == is, words)
}

fn macs(was: &Facts, is: &Facts) -> Option<Change> {
    let (Some(a), Some(b)) = (was.macs, is.macs) else { return None };
    let same = was.unknown_macs == is.unknown_macs;
    let mut change = number("macs", a, b);
    if !same {
        let nodes = list("nodes", &was.unknown_macs, &is.unknown_macs).words;
        change.outcome = Outcome::Changed;
        change.words = format!("{}; of unknown size: {nodes}", in_words("macs", a, b));
    } else if !is.unknown_macs.is_empty() {
        change.words += &format!(", without {} nodes of unknown size", is.unknown_macs.len());
    }
    Some(change)
}

fn values(was: Option<&[OutputNumbers]>, is: Option<&[OutputNumbers]>, tolerance: f64) -> Vec<Change> {
    let alone =
        |outcome, words: &str| Change { outcome, words: words.to_string(), ..text("values", true, String::new()) };
    match (was, is) {
        (None, None) => Vec::new(),
        (None, Some(_)) => vec![alone(Outcome::New, "not in the baseline")],
        (Some(_), None) => vec![alone(Outcome::Left, "not computed")],
        (Some(was), Some(is)) => {
            let one = |a: &OutputNumbers| {
                let metric = format!("values {}", a.name);
                let Some(b) = is.iter().find(|b| b.name == a.name) else {
                    return text(&metric, false, "gone".to_string());
                };
                let apart = a.distance(b);
                let words = match (a.shape == b.shape, a.not_finite == b.not_finite) {
                    (false, _) => format!("{} -> {}", a.shape, b.shape),
                    (_, false) => format!("{} -> {} numbers that are not finite", a.not_finite, b.not_finite),
                    _ => format!("off by {apart:.1e} of their norm"),
                };
                Change { numbers: Some([a.norm, b.norm]), ..text(&metric, apart <= tolerance, words) }
            };
            let new = is.iter().filter(|b| !was.iter().any(|a| a.name == b.name));
            let new = new.map(|b| text(&format!("values {}", b.name), false, "not in the baseline".to_string()));
            was.iter().map(one).chain(new).collect()
        }
    }
}

/// Compares a file as it was with a file as it is.
pub fn compare(was: &FileExact, is: &FileExact, tolerance: f64) -> Vec<Change> {
    let (a, b) = (&was.facts, &is.facts);
    let mut all = Vec::new();
    if was.format != is.format {
        all.push(text("format", false, format!("format {} -> {}", was.format, is.format)));
    }
    if was.fed != is.fed {
        all.push(list("fed", &was.fed, &is.fed));
    }
    let opset = |f: &Facts| f.opset.iter().map(|(d, v)| format!("{d} {v}")).collect::<Vec<_>>();
    all.extend([
        list("inputs", &a.inputs, &b.inputs),
        list("outputs", &a.outputs, &b.outputs),
        list("opset", &opset(a), &opset(b)),
        text("ops", a.ops == b.ops, counts_in_words(&a.ops, &b.ops)),
        digest("graph", &a.graph, &b.graph),
        number("params", a.params, b.params),
        number("weight_bytes", a.weight_bytes, b.weight_bytes),
        digest("weights", &a.weights, &b.weights),
    ]);
    all.extend(macs(a, b));
    all.extend(values(was.values.as_deref(), is.values.as_deref(), tolerance));
    all
}
