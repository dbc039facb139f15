//! The blocks of PoolFormer (Yu et al., 2022) and of its second version (Yu et al., 2023): an average pool mixes the positions.

use super::residual::residual;
use crate::ir::{ActFn, Block, Builder, Groups, LearntInit, Op, ScaleName, Sections, ShapeError, Val, Value};

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
        let y = b.op_at("norm1", Op::GROUP_NORM, &[x])?;
        let mean = b.op(Op::AvgPool { kernel: self.kernel, stride: 1, pad: self.kernel / 2 }, &[y])?;
        let y = b.op(Op::Sub, &[mean, y])?;
        let x = self.add(b, x, y, "layer_scale1")?;
        let y = b.op_at("norm2", Op::GROUP_NORM, &[x])?;
        let y = b.within("mlp", |b| {
            b.class("ConvMlp");
            let y = b.conv("fc1", y, channels * self.expand, 1, 1, true)?;
            let y = b.act(ActFn::Gelu, y)?;
            b.conv("fc2", y, channels, 1, 1, true)
        })?;
        self.add(b, x, y, "layer_scale2")
    }
}

/// Epsilon of the norms of the second version, in units of 1e-7. They have no shift.
const EPS_E7: u32 = 10;

/// A convolution with a stride, and a layer norm over the channels after it or, if `before`, in front of it.
#[derive(Clone, Debug, Hash)]
pub struct PatchConvNorm {
    /// The convolution.
    pub conv: PatchConv,
    /// Whether the norm is in front.
    pub before: bool,
}

impl Block for PatchConvNorm {
    fn kind(&self) -> &'static str {
        "patch_conv_norm"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let norm = |b: &mut Builder, x: Val| {
            let (h, w) = b.hw(x)?;
            let y = b.op(Op::Flatten, &[x])?;
            let y = b.op_at("norm", Op::LayerNorm { eps_e7: EPS_E7, bias: false }, &[y])?;
            b.op(Op::Unflatten { h, w }, &[y])
        };
        if self.before {
            let y = norm(b, x)?;
            return self.conv.lower(b, y);
        }
        let y = self.conv.lower(b, x)?;
        norm(b, y)
    }
}

/// Appends the square of what is positive, times a learnt number plus another (StarReLU, Yu et al., 2023).
fn star_relu(b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
    b.within("act", |b| {
        b.class("StarReLU");
        let number = |init| Op::Learnt { value: Value::map(Sections::plain(1), 1, 1), axes: 1, init };
        let y = b.act(ActFn::Relu, x)?;
        let y = b.op(Op::Mul, &[y, y])?;
        let scale = b.op_at("scale", number(LearntInit::Ones), &[])?;
        let y = b.op(Op::Mul, &[y, scale])?;
        let bias = b.op_at("bias", number(LearntInit::Zeros), &[])?;
        b.add(y, bias)
    })
}

/// The block of the second version: norms and convolutions without a bias, [`star_relu`], no layer scales.
#[derive(Clone, Debug, Hash)]
pub struct PoolFormerV2 {
    /// Side of the pool's windows.
    pub kernel: u32,
    /// Hidden channels of the MLP over those of the map.
    pub expand: u32,
    /// Whether what the residuals add to is scaled by channel.
    pub scaled: bool,
    /// Drop rate of stochastic depth, in thousandths.
    pub drop: u32,
}

impl PoolFormerV2 {
    /// What a residual adds to.
    fn base(&self, b: &mut Builder, x: Val, name: &'static str) -> Result<Val, ShapeError> {
        let scale = Op::ChannelScale { init_e7: 10_000_000, name: ScaleName::Scale };
        if self.scaled { b.op_at(name, scale, &[x]) } else { Ok(x) }
    }
}

impl Block for PoolFormerV2 {
    fn kind(&self) -> &'static str {
        "poolformer_v2"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("MetaFormerBlock");
        let (channels, norm) = (b.channels(x), Op::GroupNorm { eps_e7: EPS_E7, bias: false });
        let base = self.base(b, x, "res_scale1")?;
        let y = b.op_at("norm1", norm.clone(), &[x])?;
        let mean = b.op(Op::AvgPool { kernel: self.kernel, stride: 1, pad: self.kernel / 2 }, &[y])?;
        let y = b.op(Op::Sub, &[mean, y])?;
        let x = residual(b, base, y, self.drop)?;
        let base = self.base(b, x, "res_scale2")?;
        let y = b.op_at("norm2", norm, &[x])?;
        let y = b.within("mlp", |b| {
            b.class("ConvMlp");
            let y = b.conv("fc1", y, channels * self.expand, 1, 1, false)?;
            let y = star_relu(b, y)?;
            b.conv("fc2", y, channels, 1, 1, false)
        })?;
        residual(b, base, y, self.drop)
    }
}
