//! What is known of blocks, remembered under their exact bytes and the value they are given.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::ir::{Builder, Graph, Key, Plan, ShapeError, Value};

type Map<K, V> = HashMap<K, V, FixedState>;

/// A fact about each block of plans, found out once for each block and value it is given: most blocks of a space recur.
///
/// One `Memo` serves one thread. A plan whose blocks are all known allocates nothing.
#[derive(Debug)]
pub struct Memo<T> {
    values: Vec<Value>,
    ids: Map<Value, u32>,
    seen: Map<(u32, Key), (T, u32)>,
}

impl<T> Default for Memo<T> {
    fn default() -> Memo<T> {
        Memo { values: Vec::new(), ids: Map::default(), seen: Map::default() }
    }
}

impl<T: Clone> Memo<T> {
    /// Shows the fact of each block of a plan, in order. `find` takes a block as a graph of its own.
    ///
    /// # Errors
    /// When a block does not fit, or those of `find`.
    pub fn each<E: From<ShapeError>>(
        &mut self,
        plan: &Plan,
        mut find: impl FnMut(&Graph) -> Result<T, E>,
        mut see: impl FnMut(T),
    ) -> Result<(), E> {
        let mut at = self.id(&plan.input);
        for placed in &plan.blocks {
            let key = (at, Key::of(placed.block.as_ref()));
            let (fact, next) = match self.seen.get(&key) {
                Some((fact, next)) => (fact.clone(), *next),
                None => {
                    let alone = Builder::alone(self.values[at as usize].clone(), plan.style, placed)?;
                    let fact = find(&alone)?;
                    let next = self.id(&alone.nodes[alone.output].value);
                    self.seen.insert(key, (fact.clone(), next));
                    (fact, next)
                }
            };
            see(fact);
            at = next;
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
