//! Blocks: the open set. A block is a small value that lowers itself to operations.
//!
//! A block's data and its input determine everything it lowers to, so they are the key under which its cost and its latency
//! are cached.

use std::fmt;
use std::hash::{Hash, Hasher};

use smallvec::SmallVec;

use super::{Builder, ShapeError, Val};

/// A kind of block with its sizes. Implementors derive `Hash` and `Debug`; their [`BlockKey`] follows from `Hash`.
pub trait Block: fmt::Debug + Send + Sync + Keyed {
    /// The name of the kind, unique among all.
    fn kind(&self) -> &'static str;

    /// Appends the block's operations after `x`.
    ///
    /// # Errors
    /// When a size does not fit.
    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError>;

    /// The block in two, before and after its expanded map; `None` if it has none, or reads its input again after it.
    fn split(&self) -> Option<[Box<dyn Block>; 2]> {
        None
    }

    /// Appends the operations of a block that reads several values. Others read the first.
    ///
    /// # Errors
    /// When a size does not fit.
    fn lower_all(&self, b: &mut Builder, values: &[Val]) -> Result<Val, ShapeError> {
        match values {
            [x, ..] => self.lower(b, *x),
            [] => Err(b.error("no value", "a value to read")),
        }
    }
}

/// The object-safe form of `Hash`.
pub trait Keyed {
    /// Appends the bytes that `Hash` writes.
    fn write_key(&self, key: &mut BlockKey);
}

impl<T: Hash> Keyed for T {
    fn write_key(&self, key: &mut BlockKey) {
        self.hash(key);
    }
}

/// The exact bytes that `Hash` writes: equal keys mean equal data, without collisions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct BlockKey(SmallVec<[u8; 96]>);

impl BlockKey {
    /// The key of a block: its kind and its data.
    pub fn of(block: &dyn Block) -> BlockKey {
        let mut key = BlockKey::default();
        block.kind().hash(&mut key);
        block.write_key(&mut key);
        key
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Hasher for BlockKey {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}
