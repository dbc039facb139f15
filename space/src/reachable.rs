//! The distinct blocks that the genomes of a space can contain, whatever the family.
//!
//! The knobs that a block's work depends on are found by changing one knob at a time in many genomes; then all combinations
//! of those knobs are built.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rand::Rng;

use crate::Space;
use crate::block_cache::BlockCache;
use crate::domain::Genome;
use crate::ir::{Graph, ShapeError};
use crate::latency_key;

/// Genomes in which one knob at a time is changed.
const BASES: usize = 40;
/// Random genomes that must not contain a further block.
const PROBES: usize = 3000;
/// The most combinations that are built for one block position.
const PRODUCTS: u64 = 200_000;

/// Distinct blocks of networks, each as a graph of its own.
#[derive(Debug, Default)]
pub struct Reachable {
    cache: BlockCache<u32>,
    ids: HashMap<String, u32>,
    blocks: Vec<(String, Graph)>,
    /// Whether these are all blocks of the space, as far as the probes tell.
    pub complete: bool,
}

impl Reachable {
    /// All blocks of a space; if there are more than `most`, those of random genomes, up to `most`.
    ///
    /// # Errors
    /// Never for a space that was built.
    pub fn of(space: &Space, most: usize, rng: &mut dyn Rng) -> Result<Reachable, ShapeError> {
        let mut found = Reachable { complete: true, ..Reachable::default() };
        for (base, knobs) in found.depends(space, rng)?.into_values() {
            if !found.product(space, &base, &knobs, most) {
                found.complete = false;
                break;
            }
        }
        if found.complete {
            // These would show a dependence that changing one knob at a time did not.
            for _ in 0..PROBES {
                found.add(space, &space.sample(rng))?;
            }
            found.complete = found.blocks.len() <= most;
        }
        if found.complete {
            return Ok(found);
        }
        let mut some = Reachable::default();
        for _ in 0..PROBES {
            let before = some.blocks.len();
            some.add(space, &space.sample(rng))?;
            if some.blocks.len() > most {
                // A genome of which a block is missing is of no use.
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
        let compute = |block: &Graph| {
            let key = latency_key::key(block);
            Ok::<_, ShapeError>(*ids.entry(key).or_insert_with_key(|key| {
                blocks.push((key.clone(), block.clone()));
                blocks.len() as u32 - 1
            }))
        };
        self.cache.each(&plan, compute, |id| out.push(id))?;
        Ok(out)
    }

    fn forget(&mut self, from: usize) {
        self.blocks.truncate(from);
        self.ids.retain(|_, id| (*id as usize) < from);
        self.cache = BlockCache::default();
    }

    /// Key and graph of each block, in the order in which they were found.
    pub fn blocks(&self) -> &[(String, Graph)] {
        &self.blocks
    }

    /// For each block position: a genome that has it, and the knobs that its work depends on.
    fn depends(
        &mut self,
        space: &Space,
        rng: &mut dyn Rng,
    ) -> Result<BTreeMap<Position, (Genome, BTreeSet<usize>)>, ShapeError> {
        let mut all: BTreeMap<Position, (Genome, BTreeSet<usize>)> = BTreeMap::new();
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

    fn places(&mut self, space: &Space, genome: &Genome) -> Result<BTreeMap<Position, u32>, ShapeError> {
        let ids = self.add(space, genome)?;
        Ok(space.plan(genome)?.blocks.iter().map(|p| p.shared.to_string()).zip(ids).collect())
    }

    /// Builds all combinations of the knobs; false if they, or their blocks, are too many.
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
                // Choices that do not form a network are skipped: a search cannot score them either.
                let _ = self.add(space, &genome);
            }
            if self.blocks.len() > most {
                return false;
            }
        }
        true
    }
}

/// The position of a block: its path in the supernet.
type Position = String;
