//! Facts about blocks, cached by their exact bytes and the value they read.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use smallvec::{SmallVec, smallvec};

use crate::{BlockKey, Graph, IMAGE, Plan, ShapeError, Value};

type Map<K, V> = HashMap<K, V, FixedState>;

/// The values that a block reads; nearly all read one.
type Inputs = SmallVec<[u32; 2]>;

/// A fact about each block of plans, computed once for each block and input: most blocks of a space recur.
///
/// For use by one thread. A plan whose blocks are all cached allocates nothing.
#[derive(Debug)]
pub struct BlockCache<T> {
    values: Vec<Value>,
    ids: Map<Value, u32>,
    facts: Map<(Inputs, BlockKey), (T, u32)>,
}

impl<T> Default for BlockCache<T> {
    fn default() -> BlockCache<T> {
        BlockCache { values: Vec::new(), ids: Map::default(), facts: Map::default() }
    }
}

impl<T: Clone> BlockCache<T> {
    /// Calls `visit` with the fact of each block of a plan, in order. `compute` gets a block as a graph of its own.
    ///
    /// # Errors
    /// When a block does not fit its input, and those of `compute`.
    pub fn each<E: From<ShapeError>>(
        &mut self,
        plan: &Plan,
        mut compute: impl FnMut(&Graph) -> Result<T, E>,
        mut visit: impl FnMut(T),
    ) -> Result<(), E> {
        let image = self.id(&plan.input);
        let mut at = image;
        // What each block gives, where others than the next one may read it.
        let joins = plan.blocks.iter().any(|p| !p.reads.is_empty());
        let mut given: Vec<u32> = Vec::new();
        for placed in &plan.blocks {
            let inputs = match &placed.reads[..] {
                [] => smallvec![at],
                reads => reads.iter().map(|i| if *i == IMAGE { image } else { given[*i] }).collect(),
            };
            let key = (inputs, BlockKey::of(placed.block.as_ref()));
            let (fact, next) = match self.facts.get(&key) {
                Some((fact, next)) => (fact.clone(), *next),
                None => {
                    let inputs: SmallVec<[Value; 1]> = key.0.iter().map(|i| self.values[*i as usize].clone()).collect();
                    let block = placed.standalone(&inputs, plan.style)?;
                    let fact = compute(&block)?;
                    let next = self.id(block.output_value());
                    self.facts.insert(key, (fact.clone(), next));
                    (fact, next)
                }
            };
            visit(fact);
            at = next;
            if joins {
                given.push(next);
            }
        }
        Ok(())
    }

    fn id(&mut self, value: &Value) -> u32 {
        if let Some(id) = self.ids.get(value) {
            return *id;
        }
        let id = self.values.len() as u32;
        self.values.push(value.clone());
        self.ids.insert(value.clone(), id);
        id
    }
}
