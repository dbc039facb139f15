//! The blocks of TinyViT (Wu et al., 2022): inverted residuals, and attention in windows with a depthwise convolution before
//! the MLP.

use super::conv_bn::ConvBn;
use super::residual::residual;
use super::transformer::mlp;
use crate::ir::{ActFn, Block, Builder, Layout, Op, Sections, ShapeError, Val};

const ACT: ActFn = ActFn::Gelu;
const NORM: Op = Op::layer_norm(100);

/// An inverted residual with an activation after the sum.
#[derive(Clone, Debug, Hash)]
pub struct TinyVitConv {
    /// Kernel of the depthwise convolution.
    pub kernel: u32,
    /// Channels inside over those of the map.
    pub expand: u32,
    /// Drop rate of stochastic depth, in thousandths.
    pub drop: u32,
}

impl Block for TinyVitConv {
    fn kind(&self) -> &'static str {
        "tiny_vit_conv"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("MbConv");
        let out = b.value(x).sections.clone();
        let y = ConvBn::dense(Sections::plain(out.total() * self.expand), 1).act(ACT).append(b, "conv1", x)?;
        let y = ConvBn::depthwise(self.kernel).act(ACT).append(b, "conv2", y)?;
        let y = ConvBn::dense(out, 1).append(b, "conv3", y)?;
        let y = residual(b, x, y, self.drop)?;
        b.act(ACT, y)
    }
}

/// Convolutions of 1x1, 3x3 depthwise with a stride, and 1x1.
#[derive(Clone, Debug, Hash)]
pub struct TinyVitDownsample {
    /// Output channels.
    pub out: u32,
    /// Stride.
    pub stride: u32,
}

impl Block for TinyVitDownsample {
    fn kind(&self) -> &'static str {
        "tiny_vit_downsample"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("PatchMerging");
        let dense = || ConvBn::dense(Sections::plain(self.out), 1);
        let y = dense().act(ACT).append(b, "conv1", x)?;
        let y = ConvBn::depthwise(3).stride(self.stride).act(ACT).append(b, "conv2", y)?;
        dense().append(b, "conv3", y)
    }
}

/// Attention in windows, a depthwise convolution, and an MLP.
#[derive(Clone, Debug, Hash)]
pub struct TinyVit {
    /// Attention heads.
    pub heads: u32,
    /// Channels of a query, a key and a value.
    pub head_dim: u32,
    /// Side of a window.
    pub window: u32,
    /// Kernel of the convolution.
    pub kernel: u32,
    /// Hidden channels of the MLP over those of the map.
    pub expand: u32,
    /// Drop rate of stochastic depth, in thousandths.
    pub drop: u32,
}

impl TinyVit {
    /// The layer `qkv` orders its channels head by head, each with its query, key and value.
    fn attention(&self, b: &mut Builder, rows: Val) -> Result<Val, ShapeError> {
        b.class("Attention");
        let (heads, key_dim, side) = (self.heads, self.head_dim, self.window);
        let out = b.value(rows).sections.clone();
        let y = b.op_at("norm", NORM, &[rows])?;
        let qkv = b.linear("qkv", y, Sections::runs(3 * heads, key_dim))?;
        let mut part = |i: u32| b.op(Op::SliceHeads { heads, start: i * key_dim, len: key_dim }, &[qkv]);
        let (q, k, v) = (part(0)?, part(1)?, part(2)?);
        let bias = b.op(Op::BiasTable { heads, h: side, w: side, stride: 1, index: false }, &[])?;
        let y = b.op(Op::Attention { heads, key_dim }, &[q, k, v, bias])?;
        b.linear("proj", y, out)
    }
}

impl Block for TinyVit {
    fn kind(&self) -> &'static str {
        "tiny_vit"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("TinyVitBlock");
        let ((h, w), side, (patch, layout)) = (b.hw(x)?, self.window, (1, Layout::Rows));
        let cut = (h, w) != (side, side);
        let y = if cut { b.op(Op::Windows { side }, &[x])? } else { x };
        let y = b.op(Op::Unfold { patch, layout }, &[y])?;
        let y = b.within("attn", |b| self.attention(b, y))?;
        let y = b.op(Op::Fold { patch, layout, h: side, w: side }, &[y])?;
        let y = if cut { b.op(Op::Unwindow { h, w }, &[y])? } else { y };
        let x = residual(b, x, y, self.drop)?;
        let x = ConvBn::depthwise(self.kernel).append(b, "local_conv", x)?;
        let rows = b.op(Op::Unfold { patch, layout }, &[x])?;
        let hidden = b.channels(x) * self.expand;
        let y = b.within("mlp", |b| b.op_at("norm", NORM, &[rows]))?;
        let y = mlp(b, y, hidden, ACT)?;
        let rows = residual(b, rows, y, self.drop)?;
        b.op(Op::Fold { patch, layout, h, w }, &[rows])
    }
}
