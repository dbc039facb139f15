//! The blocks of BoTNet (Srinivas et al., 2021) as timm has them: bottlenecks of ResNet, some with attention in place of the
//! 3x3 convolution.

use super::conv_bn::ConvBn;
use crate::ir::{ActFn, Block, Builder, Op, Sections, ShapeError, Val};

/// Attention heads.
const HEADS: u32 = 4;

/// Three 3x3 convolutions, the first with stride 2, and a 3x3 maximum with stride 2.
#[derive(Clone, Debug, Hash)]
pub struct TieredStem {
    /// Output channels. The first convolution has three eighths of them, the second half.
    pub out: u32,
}

impl Block for TieredStem {
    fn kind(&self) -> &'static str {
        "tiered_stem"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let mut y = x;
        for (name, out, stride) in [("conv1", self.out * 3 / 8, 2), ("conv2", self.out / 2, 1), ("conv3", self.out, 1)]
        {
            y = ConvBn::dense(Sections::plain(out), 3).stride(stride).act(ActFn::Relu).append(b, name, y)?;
        }
        b.op(Op::MaxPool { kernel: 3, stride: 2, pad: 1 }, &[y])
    }
}

/// A bottleneck to four times its channels.
#[derive(Clone, Debug, Hash)]
pub struct BotNet {
    /// Channels inside, a multiple of 4.
    pub width: u32,
    /// Stride.
    pub stride: u32,
    /// Whether the shortcut is a convolution.
    pub convolved: bool,
    /// Whether it has attention.
    pub attends: bool,
}

impl BotNet {
    /// Attention whose logits also depend on the places of query and key; a stride is an average after it.
    fn attention(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("BottleneckAttention");
        let ((h, w), len, key_dim) = (b.hw(x)?, self.width, self.width / HEADS);
        let part = Sections::runs(HEADS, key_dim);
        let qkv = b.conv_to("qkv", x, part.join(&part).join(&part), false)?;
        let mut piece = |i: u32| b.op(Op::Slice { start: i * len, len }, &[qkv]);
        let (q, k, v) = (piece(0)?, piece(1)?, piece(2)?);
        let places = b.op_at("pos_embed", Op::RelativeLogits { heads: HEADS }, &[q])?;
        let q = b.op(Op::SplitHeads { heads: HEADS, transposed: false }, &[q])?;
        let k = b.op(Op::SplitHeads { heads: HEADS, transposed: true }, &[k])?;
        let v = b.op(Op::SplitHeads { heads: HEADS, transposed: false }, &[v])?;
        let y = b.op(Op::MatMul, &[q, k])?;
        let y = b.op(Op::InvSqrt { n: key_dim }, &[y])?;
        let y = b.add(y, places)?;
        let y = b.op(Op::Softmax, &[y])?;
        let y = b.op(Op::MatMul, &[y, v])?;
        let y = b.op(Op::MergeHeads { h, w, transposed: false }, &[y])?;
        match self.stride {
            1 => Ok(y),
            stride => b.op(Op::AvgPool { kernel: stride, stride, pad: 0 }, &[y]),
        }
    }
}

impl Block for BotNet {
    fn kind(&self) -> &'static str {
        if self.attends { "botnet_attention" } else { "botnet" }
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class(if self.attends { "AttentionBottleneck" } else { "Bottleneck" });
        let (inner, out) = (Sections::plain(self.width), Sections::plain(4 * self.width));
        let y = ConvBn::dense(inner.clone(), 1).act(ActFn::Relu).append(b, "conv1_1x1", x)?;
        let y = match self.attends {
            true => {
                let y = b.within("self_attn", |b| self.attention(b, y))?;
                let y = b.bn("post_attn", y)?;
                b.act(ActFn::Relu, y)?
            }
            false => ConvBn::dense(inner, 3).stride(self.stride).act(ActFn::Relu).append(b, "conv2_kxk", y)?,
        };
        let y = ConvBn::dense(out.clone(), 1).append(b, "conv3_1x1", y)?;
        let shortcut = match self.convolved {
            true => ConvBn::dense(out, 1).stride(self.stride).append(b, "shortcut", x)?,
            false => x,
        };
        let y = b.add(shortcut, y)?;
        b.act(ActFn::Relu, y)
    }
}
