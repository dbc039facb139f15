//! The blocks of EfficientFormer (Li et al., 2022): pooling blocks on maps, then attention blocks on rows.

use super::residual::scaled_residual;
use super::transformer::mlp;
use crate::ir::{ActFn, Block, Builder, Op, Sections, ShapeError, Val};

/// Token mixing by 3x3 average pooling less the input, then an MLP of two 1x1 convolutions with batch norm.
#[derive(Clone, Debug, Hash)]
pub struct MetaBlock2d {
    /// Channels inside the MLP.
    pub hidden: u32,
}

impl Block for MetaBlock2d {
    fn kind(&self) -> &'static str {
        "efficientformer_pool"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("MetaBlock2d");
        let channels = b.channels(x);
        let mean = b.op(Op::AvgPool { kernel: 3, stride: 1, pad: 1 }, &[x])?;
        let y = b.op(Op::Sub, &[mean, x])?;
        let x = scaled_residual(b, x, y, "ls1", 0)?;
        let y = b.within("mlp", |b| {
            b.class("ConvMlp");
            let y = b.conv("fc1", x, self.hidden, 1, 1, true)?;
            let y = b.bn("norm1", y)?;
            let y = b.act(ActFn::Gelu, y)?;
            let y = b.conv("fc2", y, channels, 1, 1, true)?;
            b.bn("norm2", y)
        })?;
        scaled_residual(b, x, y, "ls2", 0)
    }
}

/// Flattens a map to rows.
#[derive(Clone, Debug, Hash)]
pub struct Flat;

impl Block for Flat {
    fn kind(&self) -> &'static str {
        "flat"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("Flat");
        b.op(Op::Flatten, &[x])
    }
}

/// The group norm through which heads read a stage. Rows become a map of `side` x `side` first.
#[derive(Clone, Debug, Hash)]
pub struct NormedMap {
    /// Side of the map, if the stage gives rows.
    pub side: Option<u32>,
}

impl Block for NormedMap {
    fn kind(&self) -> &'static str {
        "efficientformer_norm"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let map = self.side.map_or(Ok(x), |side| b.op(Op::Unflatten { h: side, w: side }, &[x]))?;
        b.op(Op::GROUP_NORM, &[map])
    }
}

/// A transformer layer with attention biases by distance, on the rows of a map of `h` x `w`.
#[derive(Clone, Debug, Hash)]
pub struct MetaBlock1d {
    /// Height of the map.
    pub h: u32,
    /// Width of the map.
    pub w: u32,
    /// Attention heads.
    pub heads: u32,
    /// Channels inside the MLP.
    pub hidden: u32,
}

impl MetaBlock1d {
    /// Channels of the queries, and of the keys, of one head.
    const KEY: u32 = 32;
    /// Channels of the values of one head.
    const VALUE: u32 = 4 * MetaBlock1d::KEY;

    /// The layer `qkv` orders its channels head by head, each with its query, key and value: a narrower network uses the
    /// leading heads.
    fn attention(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("Attention");
        let (heads, channels) = (self.heads, b.channels(x));
        let (key, value) = (MetaBlock1d::KEY, MetaBlock1d::VALUE);
        let qkv = b.linear("qkv", x, Sections::runs(heads, 2 * key + value))?;
        let mut part = |start, len| b.op(Op::SliceHeads { heads, start, len }, &[qkv]);
        let (q, k, v) = (part(0, key)?, part(key, key)?, part(2 * key, value)?);
        let bias = b.op(Op::BiasTable { heads, h: self.h, w: self.w, stride: 1, index: true }, &[])?;
        let y = b.op(Op::Attention { heads, key_dim: key }, &[q, k, v, bias])?;
        b.linear("proj", y, Sections::plain(channels))
    }
}

impl Block for MetaBlock1d {
    fn kind(&self) -> &'static str {
        "efficientformer_attention"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("MetaBlock1d");
        let norm = Op::layer_norm(100);
        let y = b.op_at("norm1", norm.clone(), &[x])?;
        let y = b.within("token_mixer", |b| self.attention(b, y))?;
        let x = scaled_residual(b, x, y, "ls1", 0)?;
        let y = b.op_at("norm2", norm, &[x])?;
        let y = mlp(b, y, self.hidden, ActFn::Gelu)?;
        scaled_residual(b, x, y, "ls2", 0)
    }
}
