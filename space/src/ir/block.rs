//! Blocks: the open set. A block is a small value that lowers itself to operations.
//!
//! A block's data and its input determine everything it lowers to, so they are the key under which its cost and its latency
//! are cached.

use std::fmt;
use std::hash::{Hash, Hasher};

use smallvec::SmallVec;

use super::{Builder, Graph, InitStyle, Path, Sections, ShapeError, Val, Value};

/// A kind of block with its sizes. Implementors derive `Hash` and `Debug`; their [`BlockKey`] follows from `Hash`.
pub trait Block: fmt::Debug + Send + Sync + Keyed {
    /// The name of the kind, unique among all.
    fn kind(&self) -> &'static str;

    /// Appends the block's operations after `x`.
    ///
    /// # Errors
    /// When a size does not fit.
    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError>;
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

/// A block at its position in a network.
#[derive(Debug)]
pub struct PlacedBlock {
    /// Its path in the stand-alone network.
    pub path: Path,
    /// Its path in the supernet.
    pub shared: Path,
    /// The block.
    pub block: Box<dyn Block>,
}

impl PlacedBlock {
    fn append(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.block((&self.path, &self.shared), self.block.kind(), |b| self.block.lower(b, x))
    }

    /// The block as a graph of its own, over a given value.
    pub(crate) fn standalone(&self, input: Value, style: InitStyle) -> Result<Graph, ShapeError> {
        let (mut b, x) = Builder::new(input, style);
        let out = self.append(&mut b, x)?;
        Ok(b.finish(out))
    }
}

/// A network as a chain of blocks: what a family makes of a configuration, before lowering.
#[derive(Debug)]
pub struct Plan {
    /// The image.
    pub input: Value,
    /// How tensors are initialised.
    pub style: InitStyle,
    /// The blocks, in order; each reads the value of the one before.
    pub blocks: Vec<PlacedBlock>,
}

impl Plan {
    /// An empty chain over an image.
    pub fn new(input: Value, style: InitStyle) -> Plan {
        Plan { input, style, blocks: Vec::with_capacity(32) }
    }

    /// An empty chain over an RGB image of `resolution` x `resolution`.
    pub fn of_image(resolution: u32, style: InitStyle) -> Plan {
        Plan::new(Value::map(Sections::plain(3), resolution, resolution), style)
    }

    /// Appends a block whose path in the supernet is its path in the stand-alone network.
    pub fn push(&mut self, path: Path, block: impl Block + 'static) {
        self.push_shared(path.clone(), path, block);
    }

    /// Appends a block with another path in the supernet.
    pub fn push_shared(&mut self, path: Path, shared: Path, block: impl Block + 'static) {
        self.blocks.push(PlacedBlock { path, shared, block: Box::new(block) });
    }

    /// Lowers the chain to operations.
    ///
    /// # Errors
    /// When a size does not fit; the message names the operation.
    pub fn lower(&self) -> Result<Graph, ShapeError> {
        let (mut b, mut x) = Builder::new(self.input.clone(), self.style);
        for p in &self.blocks {
            x = p.append(&mut b, x)?;
        }
        Ok(b.finish(x))
    }
}
