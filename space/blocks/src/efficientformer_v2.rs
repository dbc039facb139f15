//! The blocks of EfficientFormerV2 (Li et al., 2022): an MLP with a depthwise convolution inside, in some blocks after
//! attention; and a downsampling with optional attention.

use super::attention_2d::Attention2d;
use super::conv_bn::ConvBn;
use super::residual::scaled_residual;
use crate::ir::{ActFn, Block, Builder, Sections, ShapeError, Val};

/// Attention on a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenMixer {
    /// The attention.
    pub attention: Attention2d,
    /// Stride of the convolution before it; `None` leaves the convolution out.
    pub stride: Option<u32>,
}

/// Optional attention, then the MLP, both with residuals.
#[derive(Clone, Debug, Hash)]
pub struct EfficientFormerV2Block {
    /// Channels inside the MLP.
    pub hidden: u32,
    /// Attention before it.
    pub mixer: Option<TokenMixer>,
    /// Drop rate of stochastic depth, in thousandths.
    pub drop: u32,
}

impl Block for EfficientFormerV2Block {
    fn kind(&self) -> &'static str {
        "efficientformer_v2"
    }

    fn lower(&self, b: &mut Builder, mut x: Val) -> Result<Val, ShapeError> {
        b.class(if self.mixer.is_some() { "AttentionBlock" } else { "ConvBlock" });
        if let Some(m) = &self.mixer {
            let y = b.within("token_mixer", |b| m.attention.on_map(b, x, m.stride))?;
            x = scaled_residual(b, x, y, "ls1", self.drop)?;
        }
        let out = Sections::plain(b.channels(x));
        let y = b.within("mlp", |b| {
            b.class("ConvMlp");
            let y = ConvBn::dense(Sections::plain(self.hidden), 1).bias().act(ActFn::Gelu).append(b, "fc1", x)?;
            let y = ConvBn::depthwise(3).bias().act(ActFn::Gelu).append(b, "mid", y)?;
            ConvBn::dense(out, 1).bias().append(b, "fc2", y)
        })?;
        scaled_residual(b, x, y, "ls2", self.drop)
    }
}

/// A strided convolution with batch norm, plus optional attention on the larger map.
#[derive(Clone, Debug, Hash)]
pub struct Downsample {
    /// Output channels.
    pub out: u32,
    /// Stride.
    pub stride: u32,
    /// The attention.
    pub attention: Option<Attention2d>,
}

impl Block for Downsample {
    fn kind(&self) -> &'static str {
        "efficientformer_v2_shrink"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class(if self.attention.is_some() { "AttentionDownsample" } else { "Downsample" });
        let y = ConvBn::dense(Sections::plain(self.out), 3).stride(self.stride).bias().append(b, "conv", x)?;
        let Some(attention) = &self.attention else { return Ok(y) };
        let attended = b.within("attn", |b| attention.downsample(b, x, self.out, self.stride))?;
        b.add(attended, y)
    }
}
