//! The block of PoolFormer (Yu et al., 2022): an average pool mixes the positions.

use super::residual::residual;
use crate::ir::{ActFn, Block, Builder, Groups, Op, ScaleName, Sections, ShapeError, Val};

/// A convolution with a stride, without a norm.
#[derive(Clone, Debug, Hash)]
pub struct PatchConv {
    /// Output channels.
    pub out: u32,
    /// Kernel.
    pub kernel: u32,
    /// Stride.
    pub stride: u32,
    /// Padding.
    pub pad: u32,
}

impl Block for PatchConv {
    fn kind(&self) -> &'static str {
        "patch_conv"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let PatchConv { kernel, stride, pad, .. } = *self;
        let (out, groups) = (Sections::plain(self.out), Groups::Dense);
        b.op_at("conv", Op::Conv { out, kernel, stride, pad, dilation: 1, groups, bias: true }, &[x])
    }
}

/// An average pool less its input, then an MLP, each after a group norm and with a layer scale.
#[derive(Clone, Debug, Hash)]
pub struct PoolFormer {
    /// Side of the pool's windows.
    pub kernel: u32,
    /// Hidden channels of the MLP over those of the map.
    pub expand: u32,
    /// Initial layer scale in units of 1e-7.
    pub init_e7: u32,
    /// Drop rate of stochastic depth, in thousandths.
    pub drop: u32,
}

impl PoolFormer {
    fn add(&self, b: &mut Builder, x: Val, y: Val, name: &'static str) -> Result<Val, ShapeError> {
        let scale = Op::ChannelScale { init_e7: self.init_e7, name: ScaleName::Scale };
        let y = b.op_at(name, scale, &[y])?;
        residual(b, x, y, self.drop)
    }
}

impl Block for PoolFormer {
    fn kind(&self) -> &'static str {
        "poolformer"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("MetaFormerBlock");
        let channels = b.channels(x);
        let y = b.op_at("norm1", Op::GroupNorm, &[x])?;
        let mean = b.op(Op::AvgPool { kernel: self.kernel, stride: 1, pad: self.kernel / 2 }, &[y])?;
        let y = b.op(Op::Sub, &[mean, y])?;
        let x = self.add(b, x, y, "layer_scale1")?;
        let y = b.op_at("norm2", Op::GroupNorm, &[x])?;
        let y = b.within("mlp", |b| {
            b.class("ConvMlp");
            let y = b.conv("fc1", y, channels * self.expand, 1, 1, true)?;
            let y = b.act(ActFn::Gelu, y)?;
            b.conv("fc2", y, channels, 1, 1, true)
        })?;
        self.add(b, x, y, "layer_scale2")
    }
}
