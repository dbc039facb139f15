//! The universal inverted bottleneck of MobileNetV4 (Qin et al., 2024): an inverted residual whose depthwise convolutions,
//! one before the expansion and one after it, may both be left out.

use super::conv_bn::ConvBn;
use super::fused_residual::average;
use super::residual::{layer_scale, residual, scaled_residual};
use crate::ir::{ActFn, Block, Builder, Sections, ShapeError, Val};

/// `dw_start`, `pw_exp`, `dw_mid`, `pw_proj`; with a residual if the shape stays the same.
#[derive(Clone, Debug, Hash)]
pub struct UniversalResidual {
    /// Kernel of the depthwise convolution before the expansion; 0 leaves it out.
    pub start: u32,
    /// Kernel of the depthwise convolution after the expansion; 0 leaves it out.
    pub middle: u32,
    /// Channels after the expansion.
    pub mid: u32,
    /// Output channels.
    pub out: u32,
    /// Stride of the last depthwise convolution.
    pub stride: u32,
    /// Activation after the expansion and after the convolution that follows it.
    pub act: ActFn,
    /// Whether the residual branch has a layer scale.
    pub scaled: bool,
    /// Whether the strided convolution has a stride of 1 and an average pool after it.
    pub averaged: bool,
    /// Drop rate of stochastic depth, in thousandths.
    pub drop: u32,
}

impl UniversalResidual {
    /// The stride of a convolution itself.
    fn own(&self, stride: u32) -> u32 {
        if self.averaged { 1 } else { stride }
    }

    fn average(&self, b: &mut Builder, x: Val, stride: u32) -> Result<Val, ShapeError> {
        if self.averaged { average(b, x, stride) } else { Ok(x) }
    }
}

impl Block for UniversalResidual {
    fn kind(&self) -> &'static str {
        "universal_residual"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        if self.stride > 1 && self.start == 0 && self.middle == 0 {
            return Err(b.error("a stride without a depthwise convolution", "one of the two"));
        }
        let mut y = x;
        if self.start > 0 {
            let stride = if self.middle > 0 { 1 } else { self.stride };
            y = ConvBn::depthwise(self.start).stride(self.own(stride)).append(b, "dw_start", y)?;
            y = self.average(b, y, stride)?;
        }
        y = ConvBn::dense(Sections::plain(self.mid), 1).act(self.act).append(b, "pw_exp", y)?;
        if self.middle > 0 {
            y = ConvBn::depthwise(self.middle).stride(self.own(self.stride)).act(self.act).append(b, "dw_mid", y)?;
            y = self.average(b, y, self.stride)?;
        }
        y = ConvBn::dense(Sections::plain(self.out), 1).append(b, "pw_proj", y)?;
        match (self.stride == 1 && b.channels(x) == self.out, self.scaled) {
            (true, true) => scaled_residual(b, x, y, "layer_scale", self.drop),
            (true, false) => residual(b, x, y, self.drop),
            (false, true) => layer_scale(b, y, "layer_scale"),
            (false, false) => Ok(y),
        }
    }
}
