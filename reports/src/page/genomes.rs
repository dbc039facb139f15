//! What a click shows of a trial: its genome, how it differs from the nearest published variant, its layers, its YAML.

use std::collections::BTreeSet;

use mobilenas_record::metric::{MACS, PARAMS};
use serde::Serialize;
use serde_json::Value;

use super::packed_ints::PackedInts;
use crate::genome;
use crate::layers::{GenomeLayers, Layer, LayerReader};
use crate::run_data::{RunData, RunTrial};

/// Most bytes that the layers of a run's trials take in a page.
const LAYERS: usize = 1_800_000;

/// The genomes of one run's points.
#[derive(Serialize)]
pub(super) struct Genomes {
    /// First point that is of this run, and how many are.
    first: usize,
    count: usize,
    family: String,
    knobs: Vec<Knob>,
    /// For each point the index of each knob's choice; one past the last choice if the genome lacks the knob.
    chosen: PackedInts,
    /// The published variants among the points.
    variants: Vec<usize>,
    /// Rows of layers: path, kind, output shape, parameters, MACs.
    rows: Vec<(String, &'static str, String, u64, u64)>,
    /// The number of layers of each point, 0 if they are not known, and their rows.
    layers: Vec<usize>,
    stacks: PackedInts,
    /// Why some points have no layers.
    without: String,
    /// The run's config without its space, if the run's folder has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<String>,
    /// The config's scale.
    #[serde(skip_serializing_if = "String::is_empty")]
    scale: String,
}

#[derive(Serialize)]
struct Knob {
    name: String,
    /// Its kind: `depth`; empty if it is not known.
    kind: &'static str,
    choices: Vec<i64>,
}

/// The genomes of one run, and how many elements each network writes.
pub(super) struct RunGenomes {
    /// The data of the page.
    pub genomes: Genomes,
    /// Elements that convolutions, linear layers and products write for one image, one number per point.
    pub activations: Vec<Option<f64>>,
}

/// Reads the genomes of a run's points; `first` is the index of the first.
pub(super) fn read(run: &RunData, trials: &[&RunTrial], first: usize) -> RunGenomes {
    let mut reader = LayerReader::new(&run.header.family, run.header.dataset.classes);
    let (knobs, chosen) = knobs(trials, reader.as_ref());
    let stacks: Vec<Option<GenomeLayers>> =
        trials.iter().map(|e| reader.as_mut().and_then(|r| checked(r, e))).collect();
    let rows = reader.as_ref().map(LayerReader::rows).unwrap_or_default();
    let keep = kept(trials, &stacks, rows.len());
    let (mut lengths, mut codes) = (Vec::new(), PackedInts::below(rows.len()));
    for (stack, keep) in stacks.iter().zip(&keep) {
        let rows = stack.as_ref().filter(|_| *keep).map(|s| s.rows.as_slice()).unwrap_or_default();
        lengths.push(rows.len());
        rows.iter().for_each(|r| codes.push(*r as usize));
    }
    let (config, scale) = run.config.as_deref().map(|config| split(config, space_of(run, trials))).unwrap_or_default();
    let genomes = Genomes {
        first,
        count: trials.len(),
        family: run.header.family.clone(),
        knobs,
        chosen,
        variants: (0..trials.len()).filter(|i| trials[*i].variant().is_some()).map(|i| first + i).collect(),
        rows: rows.iter().map(row).collect(),
        layers: lengths,
        stacks: codes,
        without: without(run, reader.is_some(), &stacks, &keep),
        config: run.config.is_some().then_some(config),
        scale,
    };
    RunGenomes { genomes, activations: stacks.iter().map(|s| s.as_ref().map(|s| s.cost.activations as f64)).collect() }
}

/// A genome's layers, if their cost is what the journal says: another program version may build another network.
fn checked(reader: &mut LayerReader, t: &RunTrial) -> Option<GenomeLayers> {
    let stack = reader.read(&t.trial.genome)?;
    let agrees = |found: u64, metric| t.metric(metric).is_none_or(|said| said == found as f64);
    (agrees(stack.cost.params, PARAMS.name) && agrees(stack.cost.macs, MACS.name)).then_some(stack)
}

/// Which points' layers go into the page: the most important ones until the limit is reached.
fn kept(trials: &[&RunTrial], stacks: &[Option<GenomeLayers>], rows: usize) -> Vec<bool> {
    let width = PackedInts::below(rows).width();
    let mut room = LAYERS.saturating_sub(rows * 48);
    let mut order: Vec<usize> = (0..trials.len()).collect();
    let rank = |t: &RunTrial| (t.variant().is_none() && !t.on_front, std::cmp::Reverse(t.mes.map(|m| m as i64)));
    order.sort_by_key(|i| rank(trials[*i]));
    let mut keep = vec![false; trials.len()];
    for i in order {
        let size = stacks[i].as_ref().map_or(0, |s| s.rows.len() * width);
        if size > room {
            break;
        }
        room -= size;
        keep[i] = true;
    }
    keep
}

fn without(run: &RunData, family: bool, stacks: &[Option<GenomeLayers>], keep: &[bool]) -> String {
    let other = "the trial's numbers differ from those of the network that this program version builds";
    if !family {
        format!("this program knows no family {}", run.header.family)
    } else if stacks.iter().any(Option::is_none) {
        other.to_owned()
    } else if keep.contains(&false) {
        "the page is limited in size; mobilenas models --genome FILE prints the layers of the YAML below".to_owned()
    } else {
        String::new()
    }
}

/// The knobs with their choices, and the choices of each point.
fn knobs(trials: &[&RunTrial], reader: Option<&LayerReader>) -> (Vec<Knob>, PackedInts) {
    let columns = genome::columns(trials.iter().map(|e| &e.trial.genome));
    let kind = |name: &str| reader.and_then(|r| r.kind(name)).unwrap_or_default();
    let knob = |(name, values): &(&str, Vec<Option<i64>>)| {
        let choices: BTreeSet<i64> = values.iter().copied().flatten().collect();
        Knob { name: (*name).to_owned(), kind: kind(name), choices: choices.into_iter().collect() }
    };
    let knobs: Vec<Knob> = columns.iter().map(knob).collect();
    let mut codes = PackedInts::below(1 + knobs.iter().map(|k| k.choices.len()).max().unwrap_or_default());
    for row in 0..trials.len() {
        for (k, (_, values)) in knobs.iter().zip(&columns) {
            let at = values[row].and_then(|v| k.choices.binary_search(&v).ok());
            codes.push(at.unwrap_or(k.choices.len()));
        }
    }
    (knobs, codes)
}

fn row(l: &Layer) -> (String, &'static str, String, u64, u64) {
    (l.path.clone(), l.kind, l.out.replace('x', " × "), l.cost.params, l.cost.macs)
}

/// The name of the space of some trials, where their run has several.
fn space_of<'a>(run: &'a RunData, trials: &[&'a RunTrial]) -> Option<&'a str> {
    let first = trials.first().copied().or(run.trials.first())?;
    first.trial.space.as_deref()
}

/// A resolved config without its `space` or `spaces` (and `name`), and the lines of the scale of its space, or of the named
/// one of several.
fn split(config: &str, space: Option<&str>) -> (String, String) {
    let (mut rest, mut scale) = (String::new(), String::new());
    let (mut section, mut in_scale) = ("", false);
    let own = space.and_then(|name| section_of(config, name)).unwrap_or_default();
    for line in config.lines() {
        if !line.starts_with([' ', '#', '-']) {
            section = line.split(':').next().unwrap_or_default();
        }
        match section {
            "space" => {
                if line.starts_with("  ") && !line.starts_with("   ") {
                    in_scale = line.trim_start().starts_with("scale:");
                }
                if in_scale {
                    scale += &format!("{line}\n");
                }
            }
            "name" | "spaces" => {}
            // One space shares nothing.
            "search" if line.starts_with("  allocation:") => {}
            "latency" if line.starts_with("latency:") && own["table"].is_string() => {
                rest += &format!("{line}\n  table: {}\n", own["table"]);
            }
            _ => rest += &format!("{line}\n"),
        }
    }
    if let (Some(width), Some(divisor)) = (own["scale"]["width"].as_f64(), own["scale"]["divisor"].as_u64()) {
        scale = format!("  scale:\n    width: {width}\n    divisor: {divisor}\n");
    }
    (rest, scale)
}

/// What a config says of one of several spaces.
fn section_of(config: &str, name: &str) -> Option<Value> {
    let config: Value = serde_yaml::from_str(config).ok()?;
    config["spaces"].as_array()?.iter().find(|s| s["name"] == name).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_is_split_into_its_space_and_the_rest() {
        let config = "name: a\nseed: 3\nspace:\n  family: f\n  scale:\n    width: 0.25\n    divisor: 8\n  knobs:\n    \
                      resolution:\n    - 16\ndata:\n  name: b\n";
        let (rest, scale) = split(config, None);
        assert_eq!(rest, "seed: 3\ndata:\n  name: b\n");
        assert_eq!(scale, "  scale:\n    width: 0.25\n    divisor: 8\n");
    }

    #[test]
    fn of_several_spaces_the_named_one_stays() {
        let config = "name: a\nspaces:\n- name: one\n  family: f\n  scale:\n    width: 0.25\n    divisor: 8\n- name: two\n  family: g\n  \
                      scale:\n    width: 0.5\n    divisor: 4\n  table: t.json\nsearch:\n  allocation: ucb1\n  trials: 3\nlatency:\n  \
                      source: table\n";
        let (rest, scale) = split(config, Some("two"));
        assert_eq!(rest, "search:\n  trials: 3\nlatency:\n  table: \"t.json\"\n  source: table\n");
        assert_eq!(scale, "  scale:\n    width: 0.5\n    divisor: 4\n");
        assert_eq!(split(config, Some("one")).1, "  scale:\n    width: 0.25\n    divisor: 8\n");
    }
}
