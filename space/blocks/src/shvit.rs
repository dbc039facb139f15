//! The blocks of SHViT (Yun and Ro, 2024): depthwise convolution, attention with one head on a part of the channels, and an
//! MLP, each with a residual.

use super::nearest_multiple;
use super::repvit::{append, conv_norm};
use super::squeeze_excite::SqueezeExcite;
use crate::ir::{ActFn, Block, Builder, Op, Sections, ShapeError, Val};

/// `x + m(x)`, with the operations of the branch below `m`.
pub(super) fn residual(
    b: &mut Builder,
    name: impl Into<crate::ir::PathSegment>,
    x: Val,
    branch: impl FnOnce(&mut Builder, Val) -> Result<Val, ShapeError>,
) -> Result<Val, ShapeError> {
    b.within(name, |b| {
        b.class("Residual");
        let y = b.within("m", |b| branch(b, x))?;
        b.add(x, y)
    })
}

fn filter(b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
    append(b, CONV, x, None, (3, 1))
}

/// The name of convolutions in SHViT.
const CONV: &str = "c";

/// An MLP over the channels, to `expand` times as many inside, with convolutions called `conv`.
pub(super) fn ffn(b: &mut Builder, x: Val, expand: u32, conv: &'static str) -> Result<Val, ShapeError> {
    b.class("Ffn");
    let (out, hidden) = (b.value(x).sections.clone(), b.channels(x) * expand);
    let y = b.within("pw1", |b| append(b, conv, x, Some(Sections::plain(hidden)), (1, 1)))?;
    let y = b.act(ActFn::Relu, y)?;
    b.within("pw2", |b| append(b, conv, y, Some(out), (1, 1)))
}

/// Four convolutions of 3x3 with stride 2, from an eighth of the channels to all.
#[derive(Clone, Debug, Hash)]
pub struct ShVitStem {
    /// Output channels.
    pub out: Sections,
    /// Stride of the first.
    pub stride: u32,
}

impl Block for ShVitStem {
    fn kind(&self) -> &'static str {
        "shvit_stem"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let mut y = x;
        for i in 0..4u32 {
            let out = if i == 3 { self.out.clone() } else { Sections::plain(self.out.total() >> (3 - i)) };
            y = conv_norm(b, 2 * i, y, Some(out), (3, if i == 0 { self.stride } else { 2 }))?;
            y = if i == 3 { y } else { b.act(ActFn::Relu, y)? };
        }
        Ok(y)
    }
}

/// The part of the channels that attends, and the channels of query and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Partial {
    /// Channels that attend.
    pub dim: u32,
    /// Channels of a query, and of a key.
    pub key_dim: u32,
}

impl Partial {
    fn append(self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("SingleHeadAttention");
        let (hw, all) = (b.hw(x)?, b.value(x).sections.clone());
        let (dim, key_dim) = (self.dim, self.key_dim);
        let attends = b.op(Op::Slice { start: 0, len: dim }, &[x])?;
        let rest = b.op(Op::Slice { start: dim, len: all.total().saturating_sub(dim) }, &[x])?;
        let y = b.op_at("pre_norm", Op::GROUP_NORM, &[attends])?;
        let parts = Sections::plain(key_dim).join(&Sections::plain(key_dim)).join(&Sections::plain(dim));
        let qkv = conv_norm(b, "qkv", y, Some(parts), (1, 1))?;
        let mut piece = |start, len| b.op(Op::Slice { start, len }, &[qkv]);
        let (q, k, v) = (piece(0, key_dim)?, piece(key_dim, key_dim)?, piece(2 * key_dim, dim)?);
        let q = b.op(Op::SplitHeads { heads: 1, transposed: false }, &[q])?;
        let k = b.op(Op::SplitHeads { heads: 1, transposed: true }, &[k])?;
        let v = b.op(Op::SplitHeads { heads: 1, transposed: false }, &[v])?;
        let y = b.op(Op::MatMul, &[q, k])?;
        let y = b.op(Op::InvSqrt { n: key_dim }, &[y])?;
        let y = b.op(Op::Softmax, &[y])?;
        let y = b.op(Op::MatMul, &[y, v])?;
        let y = b.op(Op::MergeHeads { h: hw.0, w: hw.1, transposed: false }, &[y])?;
        let y = b.op(Op::Concat, &[y, rest])?;
        b.within("proj", |b| {
            let y = b.act(ActFn::Relu, y)?;
            conv_norm(b, 1u32, y, Some(all), (1, 1))
        })
    }
}

/// `conv`, `mixer` and `ffn`.
#[derive(Clone, Debug, Hash)]
pub struct ShVit {
    /// Attention, where there is one. The channels of the map are in two sections then.
    pub mixer: Option<Partial>,
    /// Hidden channels of the MLP over those of the map.
    pub expand: u32,
}

impl Block for ShVit {
    fn kind(&self) -> &'static str {
        "shvit"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("ShVitBlock");
        let mut y = residual(b, "conv", x, filter)?;
        if let Some(partial) = self.mixer {
            y = residual(b, "mixer", y, |b, y| partial.append(b, y))?;
        }
        residual(b, "ffn", y, |b, y| ffn(b, y, self.expand, CONV))
    }
}

/// An inverted residual without the residual, with a stride and squeeze-and-excitation, between convolutions and MLPs.
#[derive(Clone, Debug, Hash)]
pub struct ShVitDownsample {
    /// Output channels.
    pub out: Sections,
    /// Stride.
    pub stride: u32,
}

/// An inverted residual without the residual, with a stride and squeeze-and-excitation, with convolutions called `conv`.
pub(super) fn merge(
    b: &mut Builder,
    x: Val,
    out: &Sections,
    stride: u32,
    conv: &'static str,
) -> Result<Val, ShapeError> {
    b.class("PatchMerging");
    let hidden = 4 * b.channels(x);
    let y = b.within("conv1", |b| append(b, conv, x, Some(Sections::plain(hidden)), (1, 1)))?;
    let y = b.act(ActFn::Relu, y)?;
    let y = b.within("conv2", |b| append(b, conv, y, None, (3, stride)))?;
    let y = b.act(ActFn::Relu, y)?;
    let reduced = nearest_multiple(f64::from(hidden) * 0.25, 8);
    let y = SqueezeExcite::plain(reduced).append_as(b, y, "se", ["fc1", "fc2"])?;
    b.within("conv3", |b| append(b, conv, y, Some(out.clone()), (1, 1)))
}

impl Block for ShVitDownsample {
    fn kind(&self) -> &'static str {
        "shvit_downsample"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let y = residual(b, 0u32, x, filter)?;
        let y = residual(b, 1u32, y, |b, y| ffn(b, y, 2, CONV))?;
        let y = b.within(2u32, |b| merge(b, y, &self.out, self.stride, CONV))?;
        let y = residual(b, 3u32, y, filter)?;
        residual(b, 4u32, y, |b, y| ffn(b, y, 2, CONV))
    }
}
