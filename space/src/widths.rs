//! The numbers of channels that each batch norm of a space can have: what a supernet with batch norms per width allocates.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rand::Rng;

use crate::domain::Genome;
use crate::genome::Space;
use crate::ir::{Op, ShapeError};

/// Numbers of channels, by the path of a batch norm in the supernet.
pub type Widths = BTreeMap<String, BTreeSet<u32>>;

/// Random genomes around which knobs are changed, besides the smallest and the largest.
const AROUND: usize = 6;

/// The channels of each batch norm of one genome's graph.
fn of(space: &Space, genome: &Genome) -> Result<HashMap<String, u32>, ShapeError> {
    let graph = space.lower(genome)?;
    let norms = graph.nodes.iter().filter(|n| n.op == Op::BatchNorm);
    Ok(norms.map(|n| (n.shared.to_string(), n.value.channels())).collect())
}

/// The numbers of channels that each batch norm has in the genomes of a space. The knobs that each depends on are found by
/// changing one at a time in a few genomes; then all combinations of those knobs are built.
///
/// # Errors
/// When the largest genome does not form a network.
pub fn widths(space: &Space, rng: &mut dyn Rng) -> Result<Widths, ShapeError> {
    let largest = space.largest();
    let mut all: Widths = of(space, &largest)?.into_iter().map(|(name, n)| (name, BTreeSet::from([n]))).collect();
    let mut knobs: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    let samples: Vec<Genome> = (0..AROUND).map(|_| space.sample(rng)).collect();
    for base in [largest.clone(), space.smallest()].into_iter().chain(samples) {
        let Ok(here) = of(space, &base) else { continue };
        note(&mut all, &here);
        for near in space.domain().neighbours(&base) {
            let Ok(there) = of(space, &near) else { continue };
            note(&mut all, &there);
            for (name, _) in there.iter().filter(|(name, n)| here.get(*name).is_some_and(|m| m != *n)) {
                knobs.entry(name.clone()).or_default().extend(space.domain().differing(&base, &near));
            }
        }
    }
    // Batch norms with the same knobs share one walk, and a walk covers those over a subset of its knobs.
    let sets: BTreeSet<&BTreeSet<usize>> = knobs.values().filter(|k| k.len() > 1).collect();
    for set in sets.iter().filter(|s| !sets.iter().any(|o| o.len() > s.len() && o.is_superset(s))) {
        let set: Vec<usize> = set.iter().copied().collect();
        walk(space, &largest, &set, &mut |genome| {
            if let Ok(here) = of(space, genome) {
                note(&mut all, &here);
            }
        });
    }
    Ok(all)
}

fn note(all: &mut Widths, found: &HashMap<String, u32>) {
    for (name, n) in found {
        all.entry(name.clone()).or_default().insert(*n);
    }
}

/// Visits every genome that differs from `genome` only in the given knobs.
fn walk(space: &Space, genome: &Genome, knobs: &[usize], visit: &mut dyn FnMut(&Genome)) {
    let Some((first, rest)) = knobs.split_first() else { return visit(genome) };
    for choice in 0..space.domain().counts()[*first] {
        let choices = genome.choices().iter().enumerate().map(|(i, c)| if i == *first { choice } else { *c });
        if let Some(next) = space.domain().genome(choices) {
            walk(space, &next, rest, visit);
        }
    }
}
