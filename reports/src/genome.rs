//! Genomes in few words: knobs whose names differ only in a number are written together, and a found network as its
//! difference from the nearest published variant.

use std::collections::BTreeMap;

use crate::run_data::{RunData, RunTrial};

/// The published variant of a trial's space that differs from it in the fewest knobs, with the knobs that differ.
pub fn nearest_variant<'a>(run: &'a RunData, trial: &RunTrial) -> Option<(&'a RunTrial, BTreeMap<String, i64>)> {
    let own = &trial.trial;
    let differing = |variant: &BTreeMap<String, i64>| -> BTreeMap<String, i64> {
        own.genome.iter().filter(|(k, v)| variant.get(*k) != Some(v)).map(|(k, v)| (k.clone(), *v)).collect()
    };
    let variants = run.scored().filter(|t| t.variant().is_some() && t.trial.space == own.space);
    variants.map(|t| (t, differing(&t.trial.genome))).min_by_key(|(_, differing)| differing.len())
}

/// `resolution=256`, `stages.1–4.depth=3,3,2,4`, `stages.3.patch=2` for a genome with a depth in each of four stages.
///
/// Knobs are in the order of their names; of several numbers in a name, the last one makes the range.
pub(crate) fn groups(genome: &BTreeMap<String, i64>) -> Vec<String> {
    let mut groups: BTreeMap<(&str, &str), Vec<(u64, i64)>> = BTreeMap::new();
    let mut out: Vec<String> = Vec::new();
    for (knob, value) in genome {
        match split(knob) {
            Some((before, index, after)) => groups.entry((before, after)).or_default().push((index, *value)),
            None => out.push(format!("{knob}={value}")),
        }
    }
    for ((before, after), mut members) in groups {
        members.sort_unstable();
        for run in members.chunk_by(|a, b| a.0.checked_add(1) == Some(b.0)) {
            let values: Vec<String> = run.iter().map(|(_, value)| value.to_string()).collect();
            let values = values.join(",");
            out.push(match (run.first(), run.last()) {
                (Some((first, _)), Some((last, _))) if last > first => {
                    format!("{before}{first}–{last}{after}={values}")
                }
                (Some((only, _)), _) => format!("{before}{only}{after}={values}"),
                (None, _) => String::new(),
            });
        }
    }
    out
}

/// All knobs of many genomes as columns, by name: a value for each genome, if it has the knob.
pub(crate) fn columns<'a>(
    genomes: impl ExactSizeIterator<Item = &'a BTreeMap<String, i64>>,
) -> Vec<(&'a str, Vec<Option<i64>>)> {
    let count = genomes.len();
    let mut columns: Vec<(&str, Vec<Option<i64>>)> = Vec::new();
    for (row, genome) in genomes.enumerate() {
        // The genomes of a run have the same knobs in the same order, so that a look at the next column is mostly enough.
        for (i, (knob, value)) in genome.iter().enumerate() {
            let here = columns.get(i).is_some_and(|(name, _)| *name == knob).then_some(i);
            let at = here.or_else(|| columns.iter().position(|(name, _)| *name == knob)).unwrap_or_else(|| {
                columns.push((knob, vec![None; count]));
                columns.len() - 1
            });
            columns[at].1[row] = Some(*value);
        }
    }
    columns.sort_by_key(|(name, _)| *name);
    columns
}

/// A knob's name around its last whole number between dots, if it has one; a number with leading zeros is a name.
fn split(knob: &str) -> Option<(&str, u64, &str)> {
    let mut end = knob.len();
    for part in knob.rsplit('.') {
        let start = end - part.len();
        if let Some(index) = part.parse().ok().filter(|i: &u64| i.to_string() == part) {
            return Some((&knob[..start], index, &knob[end..]));
        }
        end = start.saturating_sub(1);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(knobs: &[(&str, i64)]) -> String {
        groups(&knobs.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect()).join(" ")
    }

    #[test]
    fn numbered_knobs_stand_together() {
        let knobs = [("stages.2.depth", 4), ("stages.1.depth", 3), ("stages.3.depth", 2), ("resolution", 256)];
        assert_eq!(shown(&knobs), "resolution=256 stages.1–3.depth=3,4,2");
        assert_eq!(shown(&[("stages.1.blocks.9.e", 1), ("stages.1.blocks.10.e", 2)]), "stages.1.blocks.9–10.e=1,2");
    }

    #[test]
    fn columns_hold_every_value_of_unlike_genomes() {
        let genome = |knobs: &[(&str, i64)]| knobs.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect();
        let genomes: [BTreeMap<String, i64>; 3] =
            [genome(&[("b", 1), ("d", 2)]), genome(&[("a", 3), ("b", 4)]), genome(&[("d", 5)])];
        let expected = [
            ("a", vec![None, Some(3), None]),
            ("b", vec![Some(1), Some(4), None]),
            ("d", vec![Some(2), None, Some(5)]),
        ];
        assert_eq!(columns(genomes.iter()), expected);
        assert!(columns([].iter()).is_empty());
    }

    #[test]
    fn gaps_and_odd_names_lose_nothing() {
        assert_eq!(shown(&[("s.0.k", 1), ("s.2.k", 2), ("s.3.k", -1)]), "s.0.k=1 s.2–3.k=2,-1");
        assert_eq!(shown(&[("7", 1), ("a.07", 2), (".", 3), ("", 4), ("a..b", 5)]), "=4 .=3 a..b=5 a.07=2 7=1");
        assert_eq!(shown(&[]), "");
    }
}
