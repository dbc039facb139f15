//! The blocks of LeViT (Graham et al., 2021) on maps: attention with biases by distance, and MLPs, each linear map with a batch norm.

use super::repvit::append;
use super::residual::residual;
use crate::ir::{ActFn, Block, Builder, Layout, Op, PathSegment, Sections, ShapeError, Val};

const ACT: ActFn = ActFn::HardSwish;

/// Rows of a map that is one patch.
const ROWS: Layout = Layout::Rows;

fn linear_norm(
    b: &mut Builder,
    name: impl Into<PathSegment>,
    x: Val,
    out: Sections,
    (kernel, stride): (u32, u32),
) -> Result<Val, ShapeError> {
    b.within(name, |b| append(b, "linear", x, Some(out), (kernel, stride)))
}

fn mlp(b: &mut Builder, x: Val, expand: u32) -> Result<Val, ShapeError> {
    let (out, hidden) = (b.value(x).sections.clone(), b.channels(x) * expand);
    let y = b.within("mlp", |b| {
        b.class("LevitMlp");
        let y = linear_norm(b, "ln1", x, Sections::plain(hidden), (1, 1))?;
        let y = b.act(ACT, y)?;
        linear_norm(b, "ln2", y, out, (1, 1))
    })?;
    residual(b, x, y, 0)
}

/// Four convolutions of 3x3 with stride 2, from an eighth of the channels to all.
#[derive(Clone, Debug, Hash)]
pub struct LevitStem {
    /// Output channels.
    pub out: u32,
    /// Stride of the first.
    pub stride: u32,
}

impl Block for LevitStem {
    fn kind(&self) -> &'static str {
        "levit_stem"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let mut y = x;
        for (i, name) in ["conv1", "conv2", "conv3", "conv4"].into_iter().enumerate() {
            let stride = if i == 0 { self.stride } else { 2 };
            y = linear_norm(b, name, y, Sections::plain(self.out >> (3 - i)), (3, stride))?;
            y = if i == 3 { y } else { b.act(ACT, y)? };
        }
        Ok(y)
    }
}

/// Heads, the channels of a query and of a key, and those of a value over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LevitHeads {
    /// Number of heads.
    pub heads: u32,
    /// Channels of a query, and of a key.
    pub key_dim: u32,
    /// Channels of a value over those of a key.
    pub ratio: u32,
}

impl LevitHeads {
    /// Slices of each head, as rows.
    fn part(self, b: &mut Builder, rows: Val, start: u32, len: u32) -> Result<Val, ShapeError> {
        b.op(Op::SliceHeads { heads: self.heads, start, len }, &[rows])
    }

    /// Attention of rows over the keys of a map of `h` x `w`, to a map as large as the queries, and the projection.
    fn attend(
        self,
        b: &mut Builder,
        [q, k, v]: [Val; 3],
        [keys, queries]: [(u32, u32); 2],
        stride: u32,
        out: u32,
    ) -> Result<Val, ShapeError> {
        let LevitHeads { heads, key_dim, .. } = self;
        let bias = b.op(Op::BiasTable { heads, h: keys.0, w: keys.1, stride, index: false }, &[])?;
        let y = b.op(Op::Attention { heads, key_dim }, &[q, k, v, bias])?;
        let y = b.op(Op::Fold { patch: 1, layout: ROWS, h: queries.0, w: queries.1 }, &[y])?;
        b.within("proj", |b| {
            let y = b.act(ACT, y)?;
            linear_norm(b, "ln", y, Sections::plain(out), (1, 1))
        })
    }
}

/// Attention and an MLP, each with a residual.
#[derive(Clone, Debug, Hash)]
pub struct Levit {
    /// The heads.
    pub heads: LevitHeads,
    /// Hidden channels of the MLP over those of the map.
    pub expand: u32,
}

impl Block for Levit {
    fn kind(&self) -> &'static str {
        "levit"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("LevitBlock");
        let LevitHeads { heads, key_dim, ratio } = self.heads;
        let (hw, out) = (b.hw(x)?, b.channels(x));
        let y = b.within("attn", |b| {
            b.class("Attention");
            let value = key_dim * ratio;
            let qkv = linear_norm(b, "qkv", x, Sections::runs(heads, 2 * key_dim + value), (1, 1))?;
            let rows = b.op(Op::Unfold { patch: 1, layout: ROWS }, &[qkv])?;
            let q = self.heads.part(b, rows, 0, key_dim)?;
            let k = self.heads.part(b, rows, key_dim, key_dim)?;
            let v = self.heads.part(b, rows, 2 * key_dim, value)?;
            self.heads.attend(b, [q, k, v], [hw, hw], 1, out)
        })?;
        let x = residual(b, x, y, 0)?;
        mlp(b, x, self.expand)
    }
}

/// Attention with queries on every other row and column, and an MLP.
#[derive(Clone, Debug, Hash)]
pub struct LevitDownsample {
    /// The heads.
    pub heads: LevitHeads,
    /// Output channels.
    pub out: u32,
    /// Stride of the queries.
    pub stride: u32,
}

impl Block for LevitDownsample {
    fn kind(&self) -> &'static str {
        "levit_downsample"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("LevitDownsample");
        let LevitHeads { heads, key_dim, ratio } = self.heads;
        let keys = b.hw(x)?;
        let y = b.within("attn_downsample", |b| {
            b.class("AttentionDownsample");
            let value = key_dim * ratio;
            let kv = linear_norm(b, "kv", x, Sections::runs(heads, key_dim + value), (1, 1))?;
            let kv = b.op(Op::Unfold { patch: 1, layout: ROWS }, &[kv])?;
            let k = self.heads.part(b, kv, 0, key_dim)?;
            let v = self.heads.part(b, kv, key_dim, value)?;
            let (q, queries) = b.within("q", |b| {
                let y = b.op(Op::AvgPool { kernel: 1, stride: self.stride, pad: 0 }, &[x])?;
                let y = linear_norm(b, "ln", y, Sections::runs(heads, key_dim), (1, 1))?;
                Ok((y, b.hw(y)?))
            })?;
            let q = b.op(Op::Unfold { patch: 1, layout: ROWS }, &[q])?;
            self.heads.attend(b, [q, k, v], [keys, queries], self.stride, self.out)
        })?;
        mlp(b, y, 2)
    }
}
