//! The blocks of FastViT (Vasu et al., 2023): token mixers that are one depthwise convolution when deployed, or attention.

use super::conv_bn::ConvBn;
use super::parallel::Parallel;
use super::residual::residual;
use crate::ir::{ActFn, Block, Builder, Layout, Op, ScaleName, Sections, ShapeError, Val};

/// Initial layer scale: 1e-5.
const INIT_E7: u32 = 100;

/// The channels of an attention head.
const HEAD_DIM: u32 = 32;

fn layer_scale(b: &mut Builder, name: &'static str, x: Val) -> Result<Val, ShapeError> {
    b.op_at(name, Op::ChannelScale { init_e7: INIT_E7, name: ScaleName::Pixel }, &[x])
}

/// Three blocks of MobileOne: 3x3 with a stride, 3x3 depthwise with a stride, 1x1.
#[derive(Clone, Debug, Hash)]
pub struct FastVitStem {
    /// Output channels.
    pub out: u32,
    /// Stride of the first; the second has 2.
    pub stride: u32,
    /// Activation.
    pub act: ActFn,
}

impl Block for FastVitStem {
    fn kind(&self) -> &'static str {
        "fastvit_stem"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let convs = [
            Parallel::dense(self.out, 3).stride(self.stride),
            Parallel::depthwise(self.out, 3).stride(2),
            Parallel::dense(self.out, 1),
        ];
        let mut y = x;
        for (i, conv) in (0u32..).zip(convs) {
            y = b.within(i, |b| Parallel { act: Some(self.act), ..conv }.append(b, y))?;
        }
        Ok(y)
    }
}

/// A depthwise convolution of two sizes to twice the channels, with a stride, and a 1x1 convolution.
#[derive(Clone, Debug, Hash)]
pub struct FastVitDownsample {
    /// Output channels, a multiple of the input's.
    pub out: u32,
    /// The larger kernel; the smaller is 3.
    pub kernel: u32,
    /// Stride.
    pub stride: u32,
    /// Activation.
    pub act: ActFn,
}

impl Block for FastVitDownsample {
    fn kind(&self) -> &'static str {
        "fastvit_downsample"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let conv = |kernel| ConvBn::depthwise_to(Sections::plain(self.out), kernel).stride(self.stride);
        b.within("proj", |b| {
            let y = b.within(0u32, |b| {
                b.class("ReparamLargeKernelConv");
                let large = conv(self.kernel).append(b, "large_conv", x)?;
                let small = conv(3).append(b, "small_conv", x)?;
                b.add(large, small)
            })?;
            b.within(1u32, |b| Parallel { act: Some(self.act), ..Parallel::dense(self.out, 1) }.append(b, y))
        })
    }
}

/// Conditional positional encoding: a depthwise convolution `pos_enc` of 7x7 added to the map.
#[derive(Clone, Debug, Hash)]
pub struct PositionalConv;

impl Block for PositionalConv {
    fn kind(&self) -> &'static str {
        "positional_conv"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("RepConditionalPosEnc");
        let y = b.depthwise("pos_enc", x, 7, 1, true)?;
        b.add(y, x)
    }
}

/// What mixes the positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FastVitMixer {
    /// A depthwise convolution of this kernel: `x + layer_scale(mixer(x) - norm(x))`.
    Rep(u32),
    /// A batch norm and attention over all positions.
    Attention,
}

/// A token mixer and an MLP with a depthwise convolution of 7x7 before it.
#[derive(Clone, Debug, Hash)]
pub struct FastVit {
    /// What mixes the positions.
    pub mixer: FastVitMixer,
    /// Hidden channels over those of the map.
    pub expand: u32,
    /// Activation.
    pub act: ActFn,
    /// Drop rate of stochastic depth, in thousandths.
    pub drop: u32,
}

fn rep_mixer(b: &mut Builder, x: Val, kernel: u32) -> Result<Val, ShapeError> {
    b.class("RepMixer");
    let channels = b.channels(x);
    let norm = Parallel { scale: false, branches: 0, ..Parallel::depthwise(channels, kernel) };
    let norm = b.within("norm", |b| norm.append(b, x))?;
    let mixed = b.within("mixer", |b| Parallel::depthwise(channels, kernel).append(b, x))?;
    let y = b.op(Op::Sub, &[mixed, norm])?;
    let y = layer_scale(b, "layer_scale", y)?;
    b.add(x, y)
}

fn attention(b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
    b.class("Attention");
    let ((h, w), channels) = (b.hw(x)?, b.channels(x));
    let heads = channels / HEAD_DIM;
    if heads * HEAD_DIM != channels {
        return Err(b.error(format!("{channels} channels"), format!("a multiple of {HEAD_DIM}")));
    }
    let (patch, layout) = (1, Layout::Rows);
    let y = b.op(Op::Unfold { patch, layout }, &[x])?;
    let part = Sections::runs(heads, HEAD_DIM);
    let qkv = b.op_at("qkv", Op::Linear { out: part.join(&part).join(&part), bias: false }, &[y])?;
    let mut piece = |i: u32| b.op(Op::Slice { start: i * channels, len: channels }, &[qkv]);
    let (q, k, v) = (piece(0)?, piece(1)?, piece(2)?);
    let y = b.op(Op::Attention { heads, key_dim: HEAD_DIM }, &[q, k, v])?;
    let y = b.linear("proj", y, Sections::plain(channels))?;
    b.op(Op::Fold { patch, layout, h, w }, &[y])
}

impl FastVit {
    fn mlp(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("ConvMlp");
        let channels = b.channels(x);
        let y = ConvBn::depthwise(7).append(b, "conv", x)?;
        let y = b.conv("fc1", y, channels * self.expand, 1, 1, true)?;
        let y = b.act(self.act, y)?;
        b.conv("fc2", y, channels, 1, 1, true)
    }
}

impl Block for FastVit {
    fn kind(&self) -> &'static str {
        "fastvit"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let (x, scale) = match self.mixer {
            FastVitMixer::Rep(kernel) => {
                b.class("RepMixerBlock");
                (b.within("token_mixer", |b| rep_mixer(b, x, kernel))?, "layer_scale")
            }
            FastVitMixer::Attention => {
                b.class("AttentionBlock");
                let y = b.bn("norm", x)?;
                let y = b.within("token_mixer", |b| attention(b, y))?;
                let y = layer_scale(b, "layer_scale_1", y)?;
                (residual(b, x, y, self.drop)?, "layer_scale_2")
            }
        };
        let y = b.within("mlp", |b| self.mlp(b, x))?;
        let y = layer_scale(b, scale, y)?;
        residual(b, x, y, self.drop)
    }
}
