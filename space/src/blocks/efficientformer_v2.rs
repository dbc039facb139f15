//! The blocks of EfficientFormerV2 (Li et al., 2022): one feed-forward network with a depthwise convolution inside, in
//! some blocks after attention; and a downsampling that may attend too.

use super::conv_unit::Unit;
use super::map_attention::MapHeads;
use super::residual::scaled_residual;
use crate::ir::{ActFn, Block, Builder, Sections, ShapeError, Val};

/// Attention of a block over its map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mixer {
    /// Its heads.
    pub heads: MapHeads,
    /// Stride of the convolution before it; `None` leaves the convolution away.
    pub stride: Option<u32>,
}

/// Attention if given, then the feed-forward network; each is added to its input.
#[derive(Clone, Debug, Hash)]
pub struct ConvFormer {
    /// Channels inside the feed-forward network.
    pub hidden: u32,
    /// Attention before it.
    pub mixer: Option<Mixer>,
    /// Images of 1000 whose branches training drops.
    pub drop: u32,
}

impl Block for ConvFormer {
    fn kind(&self) -> &'static str {
        "efficientformer_v2"
    }

    fn lower(&self, b: &mut Builder, mut x: Val) -> Result<Val, ShapeError> {
        if let Some(m) = &self.mixer {
            let y = b.within("token_mixer", |b| m.heads.mix(b, x, m.stride))?;
            x = scaled_residual(b, x, y, "ls1", self.drop)?;
        }
        let out = Sections::plain(b.channels(x));
        let y = b.within("mlp", |b| {
            let y = Unit::dense(Sections::plain(self.hidden), 1).bias().act(ActFn::Gelu).write(b, "fc1", x)?;
            let y = Unit::depthwise(3).bias().act(ActFn::Gelu).write(b, "mid", y)?;
            Unit::dense(out, 1).bias().write(b, "fc2", y)
        })?;
        scaled_residual(b, x, y, "ls2", self.drop)
    }
}

/// A convolution with stride and batch norm, to which attention over the larger map is added if given.
#[derive(Clone, Debug, Hash)]
pub struct Shrink {
    /// Output channels.
    pub out: u32,
    /// Stride.
    pub stride: u32,
    /// Heads of the attention beside it.
    pub attention: Option<MapHeads>,
}

impl Block for Shrink {
    fn kind(&self) -> &'static str {
        "efficientformer_v2_shrink"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let y = Unit::dense(Sections::plain(self.out), 3).stride(self.stride).bias().write(b, "conv", x)?;
        let Some(heads) = &self.attention else { return Ok(y) };
        let attended = b.within("attn", |b| heads.shrink(b, x, self.out, self.stride))?;
        b.add(attended, y)
    }
}
