//! What a click shows of a trial: its genome, how it differs from the nearest published variant, its layers, its YAML.

use std::collections::BTreeSet;

use serde::Serialize;

use super::Codes;
use crate::layers::{Layer, Reader, Stack};
use crate::{Entry, Frame, genome};
use mobilenas_record::metric::name as metric;

/// Bytes that the layers of a run's trials may take in a page.
const LAYERS: usize = 1_800_000;

/// The genomes of one run's points.
#[derive(Serialize)]
pub(in crate::page) struct Genomes {
    /// First point that is of this run, and how many are.
    first: usize,
    count: usize,
    family: String,
    knobs: Vec<Knob>,
    /// For each point the choice of each knob; one past the last choice if the genome lacks the knob.
    chosen: Codes,
    /// The published variants among the points.
    variants: Vec<usize>,
    /// Rows of layers: path, kind, size, parameters, MACs.
    rows: Vec<(String, &'static str, String, u64, u64)>,
    /// Of each point the number of its layers, and then their rows; nothing known is 0.
    layers: Vec<usize>,
    stacks: Codes,
    /// Why points may have no layers, in a sentence.
    without: String,
    /// The run's config without its space, if the run's folder has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<String>,
    /// The config's scale, as it stands there.
    #[serde(skip_serializing_if = "String::is_empty")]
    scale: String,
}

#[derive(Serialize)]
struct Knob {
    name: String,
    /// What its number means: `depth`; empty if it is not known.
    word: &'static str,
    choices: Vec<i64>,
}

/// What the points of one run have in common, and how many elements their networks write.
pub(in crate::page) struct Read {
    /// For the page.
    pub genomes: Genomes,
    /// Elements that convolutions, linear layers and products write for one image, a number a point.
    pub activations: Vec<Option<f64>>,
}

/// Reads the genomes of a run's points; `first` is the number of the first.
pub(in crate::page) fn read(f: &Frame, entries: &[&Entry], first: usize) -> Read {
    let mut reader = Reader::new(&f.run.family, f.run.dataset.classes);
    let (knobs, chosen) = knobs(entries, reader.as_ref());
    let stacks: Vec<Option<Stack>> = entries.iter().map(|e| reader.as_mut().and_then(|r| checked(r, e))).collect();
    let rows = reader.as_ref().map(Reader::rows).unwrap_or_default();
    let keep = kept(entries, &stacks, rows.len());
    let (mut lengths, mut codes) = (Vec::new(), Codes::below(rows.len()));
    for (stack, keep) in stacks.iter().zip(&keep) {
        let rows = stack.as_ref().filter(|_| *keep).map(|s| s.rows.as_slice()).unwrap_or_default();
        lengths.push(rows.len());
        rows.iter().for_each(|r| codes.push(*r as usize));
    }
    let (config, scale) = f.config.as_deref().map(split).unwrap_or_default();
    let genomes = Genomes {
        first,
        count: entries.len(),
        family: f.run.family.clone(),
        knobs,
        chosen,
        variants: (0..entries.len()).filter(|i| entries[*i].variant().is_some()).map(|i| first + i).collect(),
        rows: rows.iter().map(row).collect(),
        layers: lengths,
        stacks: codes,
        without: without(f, reader.is_some(), &stacks, &keep),
        config: f.config.is_some().then_some(config),
        scale,
    };
    Read { genomes, activations: stacks.iter().map(|s| s.as_ref().map(|s| s.cost.activations as f64)).collect() }
}

/// A genome's layers, if they add up to what the journal says of it: another version may build other networks.
fn checked(reader: &mut Reader, e: &Entry) -> Option<Stack> {
    let stack = reader.read(&e.trial.genome)?;
    let agrees = |found: u64, metric| e.metric(metric).is_none_or(|said| said == found as f64);
    (agrees(stack.cost.params, metric::PARAMS) && agrees(stack.cost.macs, metric::MACS)).then_some(stack)
}

/// Which points' layers go into the page: all, or those that matter most until the room is used up.
fn kept(entries: &[&Entry], stacks: &[Option<Stack>], rows: usize) -> Vec<bool> {
    let width = {
        let mut one = Codes::below(rows);
        one.push(0);
        one.len()
    };
    let mut room = LAYERS.saturating_sub(rows * 48);
    let mut order: Vec<usize> = (0..entries.len()).collect();
    let rank = |e: &Entry| (e.variant().is_none() && !e.on_front, std::cmp::Reverse(e.mes.map(|m| m as i64)));
    order.sort_by_key(|i| rank(entries[*i]));
    let mut keep = vec![false; entries.len()];
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

fn without(f: &Frame, family: bool, stacks: &[Option<Stack>], keep: &[bool]) -> String {
    let other = "the trial's numbers are not those of the network that this program's version makes of its genome";
    if !family {
        format!("this program knows no family {}", f.run.family)
    } else if stacks.iter().any(Option::is_none) {
        other.to_owned()
    } else if keep.contains(&false) {
        "there was no room for the layers of all trials; mobilenas models --genome FILE prints those of the YAML below"
            .to_owned()
    } else {
        String::new()
    }
}

/// The knobs with the choices that were made, and for each point the number of its choices.
fn knobs(entries: &[&Entry], reader: Option<&Reader>) -> (Vec<Knob>, Codes) {
    let columns = genome::columns(entries.iter().map(|e| &e.trial.genome));
    let word = |name: &str| reader.and_then(|r| r.word(name)).unwrap_or_default();
    let knob = |(name, values): &(&str, Vec<Option<i64>>)| {
        let choices: BTreeSet<i64> = values.iter().copied().flatten().collect();
        Knob { name: (*name).to_owned(), word: word(name), choices: choices.into_iter().collect() }
    };
    let knobs: Vec<Knob> = columns.iter().map(knob).collect();
    let mut codes = Codes::below(1 + knobs.iter().map(|k| k.choices.len()).max().unwrap_or_default());
    for row in 0..entries.len() {
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

/// A resolved config without its `space` (and `name`), and the lines of its scale.
fn split(config: &str) -> (String, String) {
    let (mut rest, mut scale) = (String::new(), String::new());
    let (mut section, mut in_scale) = ("", false);
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
            "name" => {}
            _ => rest += &format!("{line}\n"),
        }
    }
    (rest, scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_is_split_into_its_space_and_the_rest() {
        let config = "name: a\nseed: 3\nspace:\n  family: f\n  scale:\n    width: 0.25\n    divisor: 8\n  knobs:\n    \
                      resolution:\n    - 16\ndata:\n  name: b\n";
        let (rest, scale) = split(config);
        assert_eq!(rest, "seed: 3\ndata:\n  name: b\n");
        assert_eq!(scale, "  scale:\n    width: 0.25\n    divisor: 8\n");
    }
}
