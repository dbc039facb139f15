//! Blocks: the open set. A block is a small piece of data that knows how to write itself into a graph.
//!
//! Since a block's data and the value it is given determine all that it makes, they are the key under which its cost,
//! and later its latency, is remembered.

use std::fmt;
use std::hash::{Hash, Hasher};

use smallvec::SmallVec;

use super::{Builder, Graph, InitStyle, Path, ShapeError, Val, Value};

/// A kind of block with its sizes. Implementors derive `Hash` and `Debug`; [`Key`] follows from `Hash`.
pub trait Block: fmt::Debug + Send + Sync + Keyed {
    /// The kind of block, unique among all kinds.
    fn kind(&self) -> &'static str;

    /// Writes the block into a graph, after `x`.
    ///
    /// # Errors
    /// When a size does not fit.
    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError>;
}

/// What every `Hash` type can do: give its exact bytes.
pub trait Keyed {
    /// Appends the value's bytes.
    fn feed(&self, key: &mut Key);
}

impl<T: Hash> Keyed for T {
    fn feed(&self, key: &mut Key) {
        self.hash(key);
    }
}

/// The exact bytes that `Hash` feeds: equal keys mean equal data, there are no collisions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Key(SmallVec<[u8; 96]>);

impl Key {
    /// The key of a block: its kind and its data.
    pub fn of(block: &dyn Block) -> Key {
        let mut key = Key::default();
        block.kind().hash(&mut key);
        block.feed(&mut key);
        key
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Hasher for Key {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

/// A block at its place.
#[derive(Debug)]
pub struct Placed {
    /// Its path in the stand-alone network.
    pub path: Path,
    /// Its path in the supernet.
    pub shared: Path,
    /// The block.
    pub block: Box<dyn Block>,
}

/// A network as a chain of blocks: what a family makes of its configuration, before lowering.
#[derive(Debug)]
pub struct Plan {
    /// The image.
    pub input: Value,
    /// How the tensors begin.
    pub style: InitStyle,
    /// The blocks, in order; each takes the value of the one before.
    pub blocks: Vec<Placed>,
}

impl Plan {
    /// An empty chain over an image.
    pub fn new(input: Value, style: InitStyle) -> Plan {
        Plan { input, style, blocks: Vec::with_capacity(32) }
    }

    /// Appends a block whose tensors have one name everywhere.
    pub fn push(&mut self, path: Path, block: impl Block + 'static) {
        self.push_shared(path.clone(), path, block);
    }

    /// Appends a block whose tensors have another name in the supernet.
    pub fn push_shared(&mut self, path: Path, shared: Path, block: impl Block + 'static) {
        self.blocks.push(Placed { path, shared, block: Box::new(block) });
    }

    /// Lowers the chain to operations.
    ///
    /// # Errors
    /// When a size does not fit; the message names the operation.
    pub fn lower(&self) -> Result<Graph, ShapeError> {
        let (mut b, mut x) = Builder::new(self.input.clone(), self.style);
        for p in &self.blocks {
            x = b.block(&p.path, &p.shared, p.block.as_ref(), x)?;
        }
        Ok(b.finish(x))
    }
}
