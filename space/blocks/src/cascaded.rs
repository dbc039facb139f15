//! The blocks of EfficientViT-M (Liu et al., 2023): attention whose heads each read a part of the channels and the result of
//! the head before, between depthwise convolutions and MLPs.

use super::repvit::append;
use super::shvit::{ffn, merge, residual};
use crate::ir::{ActFn, Block, Builder, Op, Sections, ShapeError, Val};

const CONV: &str = "conv";

fn filter(b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
    append(b, CONV, x, None, (3, 1))
}

/// Four convolutions of 3x3 with stride 2, from an eighth of the channels to all.
#[derive(Clone, Debug, Hash)]
pub struct CascadedStem {
    /// Output channels.
    pub out: Sections,
    /// Stride of the first.
    pub stride: u32,
}

impl Block for CascadedStem {
    fn kind(&self) -> &'static str {
        "cascaded_stem"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let mut y = x;
        for (i, name) in ["conv1", "conv2", "conv3", "conv4"].into_iter().enumerate() {
            let out = if i == 3 { self.out.clone() } else { Sections::plain(self.out.total() >> (3 - i)) };
            let stride = if i == 0 { self.stride } else { 2 };
            y = b.within(name, |b| append(b, CONV, y, Some(out), (3, stride)))?;
            y = if i == 3 { y } else { b.act(ActFn::Relu, y)? };
        }
        Ok(y)
    }
}

/// A depthwise convolution and an MLP, cascaded attention in windows, and another convolution and MLP, each with a residual.
/// The channels of the map are as many equal runs as there are heads.
#[derive(Clone, Debug, Hash)]
pub struct Cascaded {
    /// Kernel of the queries of each head.
    pub kernels: Vec<u32>,
    /// Channels of a query, and of a key.
    pub key_dim: u32,
    /// Largest side of a window.
    pub window: u32,
    /// Hidden channels of the MLPs over those of the map.
    pub expand: u32,
}

impl Cascaded {
    fn attend(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("CascadedGroupAttention");
        let ((h, w), out, key_dim) = (b.hw(x)?, b.value(x).sections.clone(), self.key_dim);
        let heads = self.kernels.len() as u32;
        let value_dim = out.total() / heads.max(1);
        let table = b.op(Op::BiasTable { heads, h, w, stride: 1, index: false }, &[])?;
        let (mut all, mut last) = (Vec::new(), None);
        for (i, kernel) in (0u32..).zip(&self.kernels) {
            let own = b.op(Op::Slice { start: i * value_dim, len: value_dim }, &[x])?;
            let read = last.map_or(Ok(own), |last| b.add(last, own))?;
            let parts = [key_dim, key_dim, value_dim].map(Sections::plain);
            let parts = parts[0].join(&parts[1]).join(&parts[2]);
            let qkv = b.within("qkvs", |b| b.within(i, |b| append(b, CONV, read, Some(parts), (1, 1))))?;
            let mut piece = |start, len| b.op(Op::Slice { start, len }, &[qkv]);
            let (q, k, v) = (piece(0, key_dim)?, piece(key_dim, key_dim)?, piece(2 * key_dim, value_dim)?);
            let q = b.within("dws", |b| b.within(i, |b| append(b, CONV, q, None, (*kernel, 1))))?;
            let q = b.op(Op::SplitHeads { heads: 1, transposed: false }, &[q])?;
            let k = b.op(Op::SplitHeads { heads: 1, transposed: true }, &[k])?;
            let v = b.op(Op::SplitHeads { heads: 1, transposed: false }, &[v])?;
            let y = b.op(Op::MatMul, &[q, k])?;
            let y = b.op(Op::InvSqrt { n: key_dim }, &[y])?;
            let bias = b.op(Op::Slice { start: i, len: 1 }, &[table])?;
            let y = b.add(y, bias)?;
            let y = b.op(Op::Softmax, &[y])?;
            let y = b.op(Op::MatMul, &[y, v])?;
            let y = b.op(Op::MergeHeads { h, w, transposed: false }, &[y])?;
            last = Some(y);
            all.push(y);
        }
        let y = if heads > 1 { b.op(Op::Concat, &all)? } else { all[0] };
        b.within("proj", |b| {
            let y = b.act(ActFn::Relu, y)?;
            b.within(1u32, |b| append(b, CONV, y, Some(out), (1, 1)))
        })
    }

    /// Attention over the whole map, or in windows of a larger one.
    fn mix(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let (h, w) = b.hw(x)?;
        let side = self.window.min(h);
        if (h, w) == (side, side) {
            return b.within("attn", |b| self.attend(b, x));
        }
        let y = b.op(Op::Windows { side }, &[x])?;
        let y = b.within("attn", |b| self.attend(b, y))?;
        b.op(Op::Unwindow { h, w }, &[y])
    }
}

impl Block for Cascaded {
    fn kind(&self) -> &'static str {
        "cascaded"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("CascadedBlock");
        let mlp = |b: &mut Builder, y: Val| ffn(b, y, self.expand, CONV);
        let y = residual(b, "dw0", x, filter)?;
        let y = residual(b, "ffn0", y, mlp)?;
        let y = residual(b, "mixer", y, |b, y| self.mix(b, y))?;
        let y = residual(b, "dw1", y, filter)?;
        residual(b, "ffn1", y, mlp)
    }
}

/// An inverted residual with a stride and squeeze-and-excitation, between convolutions and MLPs.
#[derive(Clone, Debug, Hash)]
pub struct CascadedDownsample {
    /// Output channels.
    pub out: Sections,
    /// Stride.
    pub stride: u32,
}

impl Block for CascadedDownsample {
    fn kind(&self) -> &'static str {
        "cascaded_downsample"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let around = |b: &mut Builder, name: &'static str, x: Val| {
            b.within(name, |b| {
                let y = residual(b, 0u32, x, filter)?;
                residual(b, 1u32, y, |b, y| ffn(b, y, 2, CONV))
            })
        };
        let y = around(b, "res1", x)?;
        let y = b.within("patchmerge", |b| merge(b, y, &self.out, self.stride, CONV))?;
        around(b, "res2", y)
    }
}
