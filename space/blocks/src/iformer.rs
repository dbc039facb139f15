//! The blocks of iFormer (Zheng, 2025): an inverted bottleneck behind a large depthwise convolution, and attention with one
//! head whose result a gate modulates.

use super::repvit::{append, conv_norm};
use crate::ir::{ActFn, Block, Builder, Op, Sections, ShapeError, Val};

/// Two convolutions of 5x5 with a stride and one of 1x1, with activations between them.
#[derive(Clone, Debug, Hash)]
pub struct IFormerStem {
    /// Output channels. The first convolution has half as many, the second twice as many.
    pub out: u32,
    /// Stride of the first; the second has 2.
    pub stride: u32,
}

impl Block for IFormerStem {
    fn kind(&self) -> &'static str {
        "iformer_stem"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let half = self.out / 2;
        let y = conv_norm(b, "conv1", x, Some(Sections::plain(half)), (5, self.stride))?;
        let y = b.act(ActFn::Gelu, y)?;
        let y = conv_norm(b, "conv2", y, Some(Sections::plain(4 * half)), (5, 2))?;
        let y = b.act(ActFn::Gelu, y)?;
        conv_norm(b, "conv3", y, Some(Sections::plain(self.out)), (1, 1))
    }
}

/// One block: each is a residual.
#[derive(Clone, Debug, Hash)]
pub enum IFormer {
    /// A depthwise convolution and an MLP.
    Conv {
        /// Kernel of the depthwise convolution.
        kernel: u32,
        /// Hidden channels over those of the map.
        expand: u32,
    },
    /// A depthwise convolution that encodes positions, before attention.
    Position {
        /// Its kernel.
        kernel: u32,
    },
    /// Single-head modulation attention.
    Attention {
        /// Channels of a query, and of a key.
        key_dim: u32,
    },
    /// An MLP.
    Mlp {
        /// Hidden channels over those of the map.
        expand: u32,
    },
}

/// An MLP over the channels; its convolutions have the indices `first` and `first + 2`.
fn mlp(b: &mut Builder, x: Val, first: u32, expand: u32) -> Result<Val, ShapeError> {
    let (out, hidden) = (b.value(x).sections.clone(), b.channels(x) * expand);
    let y = conv_norm(b, first, x, Some(Sections::plain(hidden)), (1, 1))?;
    let y = b.act(ActFn::Gelu, y)?;
    conv_norm(b, first + 2, y, Some(out), (1, 1))
}

/// Attention of all positions with one head. Values, and the gate that multiplies the result, are sigmoids.
fn attention(b: &mut Builder, x: Val, key_dim: u32) -> Result<Val, ShapeError> {
    b.class("ModulationAttention");
    let ((h, w), out) = (b.hw(x)?, b.value(x).sections.clone());
    let len = out.total();
    let both = conv_norm(b, "v_gate", x, Some(Sections::plain(len).join(&Sections::plain(len))), (1, 1))?;
    let both = b.act(ActFn::Sigmoid, both)?;
    let v = b.op(Op::Slice { start: 0, len }, &[both])?;
    let gate = b.op(Op::Slice { start: len, len }, &[both])?;
    let q = conv_norm(b, "q", x, Some(Sections::plain(key_dim)), (1, 1))?;
    let k = conv_norm(b, "k", x, Some(Sections::plain(key_dim)), (1, 1))?;
    let [q, k, v] = [b.op(Op::Flatten, &[q])?, b.op(Op::Flatten, &[k])?, b.op(Op::Flatten, &[v])?];
    let y = b.op(Op::Attention { heads: 1, key_dim }, &[q, k, v])?;
    let y = b.op(Op::Unflatten { h, w }, &[y])?;
    let y = b.op(Op::Mul, &[y, gate])?;
    conv_norm(b, "proj", y, Some(out), (1, 1))
}

impl IFormer {
    fn branch(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        match *self {
            IFormer::Conv { kernel, expand } => {
                let y = conv_norm(b, 0u32, x, None, (kernel, 1))?;
                mlp(b, y, 1, expand)
            }
            IFormer::Position { kernel } => append(b, "c", x, None, (kernel, 1)),
            IFormer::Attention { key_dim } => attention(b, x, key_dim),
            IFormer::Mlp { expand } => mlp(b, x, 0, expand),
        }
    }
}

impl Block for IFormer {
    fn kind(&self) -> &'static str {
        match self {
            IFormer::Conv { .. } => "iformer_conv",
            IFormer::Position { .. } => "iformer_position",
            IFormer::Attention { .. } => "iformer_attention",
            IFormer::Mlp { .. } => "iformer_mlp",
        }
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let place = matches!(self, IFormer::Position { .. });
        b.within(if place { "cpe" } else { "mixer" }, |b| {
            b.class("Residual");
            let y = b.within("module", |b| self.branch(b, x))?;
            b.add(x, y)
        })
    }
}
