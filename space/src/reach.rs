//! The distinct blocks that the genomes of a space can contain.
//!
//! Knows no family. Which knobs a block's work depends on is found out by changing knobs one at a time in many genomes;
//! then all choices of those knobs are tried together.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rand::Rng;

use crate::Space;
use crate::domain::Genome;
use crate::ir::{Graph, ShapeError};
use crate::latency_key;
use crate::memo::Memo;

/// Genomes in which knobs are changed one at a time.
const BASES: usize = 40;
/// Random genomes that have to hold no further block.
const PROBES: usize = 3000;
/// Genomes built for one place in the networks, at most.
const PRODUCTS: u64 = 200_000;

/// Distinct blocks of networks, each as a graph of its own.
#[derive(Debug, Default)]
pub struct Reachable {
    memo: Memo<u32>,
    ids: HashMap<String, u32>,
    blocks: Vec<(String, Graph)>,
    /// Whether no genome is known or expected to hold another block.
    pub whole: bool,
}

impl Reachable {
    /// The blocks of a space: all of them, or, if there are more than `most`, those of random genomes up to `most`.
    ///
    /// # Errors
    /// Never for a space that was built.
    pub fn of(space: &Space, most: usize, rng: &mut dyn Rng) -> Result<Reachable, ShapeError> {
        let mut found = Reachable { whole: true, ..Reachable::default() };
        for (base, knobs) in found.depends(space, rng)?.into_values() {
            if !found.product(space, &base, &knobs, most) {
                found.whole = false;
                break;
            }
        }
        if found.whole {
            // A dependence that changing knobs one at a time did not show would show here.
            for _ in 0..PROBES {
                found.add(space, &space.sample(rng))?;
            }
            found.whole = found.blocks.len() <= most;
        }
        if found.whole {
            return Ok(found);
        }
        let mut some = Reachable::default();
        for _ in 0..PROBES {
            let before = some.blocks.len();
            some.add(space, &space.sample(rng))?;
            if some.blocks.len() > most {
                // Whole genomes only: a table of parts of them serves none.
                some.forget(before);
                break;
            }
        }
        Ok(some)
    }

    /// The keys of a genome's blocks, in order; blocks not seen before are added.
    ///
    /// # Errors
    /// When the choices do not fit each other.
    pub fn add(&mut self, space: &Space, genome: &Genome) -> Result<Vec<u32>, ShapeError> {
        let plan = space.plan(genome)?;
        let (ids, blocks, mut out) = (&mut self.ids, &mut self.blocks, Vec::with_capacity(plan.blocks.len()));
        let find = |alone: &Graph| {
            let key = latency_key::key(alone);
            Ok::<_, ShapeError>(*ids.entry(key).or_insert_with_key(|key| {
                blocks.push((key.clone(), alone.clone()));
                blocks.len() as u32 - 1
            }))
        };
        self.memo.each(&plan, find, |id| out.push(id))?;
        Ok(out)
    }

    fn forget(&mut self, from: usize) {
        self.blocks.truncate(from);
        self.ids.retain(|_, id| (*id as usize) < from);
        self.memo = Memo::default();
    }

    /// Key and graph of each block, in the order in which they were found.
    pub fn blocks(&self) -> &[(String, Graph)] {
        &self.blocks
    }

    /// For each place in the networks: a genome that has it, and the knobs that its work depends on.
    fn depends(
        &mut self,
        space: &Space,
        rng: &mut dyn Rng,
    ) -> Result<BTreeMap<Place, (Genome, BTreeSet<usize>)>, ShapeError> {
        let mut all: BTreeMap<Place, (Genome, BTreeSet<usize>)> = BTreeMap::new();
        let bases = (0..BASES).map(|_| space.sample(rng)).collect::<Vec<_>>();
        for base in [space.smallest(), space.largest()].into_iter().chain(bases) {
            let here = self.places(space, &base)?;
            for place in here.keys() {
                all.entry(place.clone()).or_insert_with(|| (base.clone(), BTreeSet::new()));
            }
            for other in space.domain().neighbours(&base) {
                let Ok(there) = self.places(space, &other) else { continue };
                let knob = space.domain().differing(&base, &other);
                for (place, key) in &here {
                    if let (Some(k), Some((_, knobs))) = (there.get(place), all.get_mut(place))
                        && k != key
                    {
                        knobs.extend(&knob);
                    }
                }
            }
        }
        Ok(all)
    }

    fn places(&mut self, space: &Space, genome: &Genome) -> Result<BTreeMap<Place, u32>, ShapeError> {
        let ids = self.add(space, genome)?;
        Ok(space.plan(genome)?.blocks.iter().map(|p| p.shared.to_string()).zip(ids).collect())
    }

    /// Tries all choices of the knobs; false if they are too many, or the blocks are.
    fn product(&mut self, space: &Space, base: &Genome, knobs: &BTreeSet<usize>, most: usize) -> bool {
        let counts: Vec<u64> = knobs.iter().map(|k| u64::from(space.domain().counts()[*k])).collect();
        let total = counts.iter().try_fold(1u64, |a, b| a.checked_mul(*b)).filter(|n| *n <= PRODUCTS);
        let Some(total) = total else { return false };
        for n in 0..total {
            let (mut rest, mut choices) = (n, base.choices().to_vec());
            for (knob, count) in knobs.iter().zip(&counts) {
                choices[*knob] = (rest % count) as u8;
                rest /= count;
            }
            if let Some(genome) = space.domain().genome(choices) {
                // Choices that make no network are no genome of a search either.
                let _ = self.add(space, &genome);
            }
            if self.blocks.len() > most {
                return false;
            }
        }
        true
    }
}

/// Where a block stands in the supernet.
type Place = String;
