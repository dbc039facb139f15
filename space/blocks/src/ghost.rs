//! The bottleneck of GhostNet (Han et al., 2020). Its ghost modules compute half of their channels by a 1x1 convolution and
//! the other half from these, by a depthwise convolution.

use super::conv_bn::{filter, pointwise};
use super::squeeze_excite::SqueezeExcite;
use crate::ir::{ActFn, Block, Builder, Groups, Op, Sections, ShapeError, Val};

/// A ghost module to `mid` channels, an optional strided filter, and a ghost module to `out`; with a shortcut.
#[derive(Clone, Debug, Hash)]
pub struct GhostBottleneck {
    /// Channels after the first ghost module.
    pub mid: u32,
    /// Output channels.
    pub out: u32,
    /// Kernel of the depthwise convolutions of the filter and the shortcut.
    pub kernel: u32,
    /// Stride of a depthwise convolution between the modules; `None` leaves it out.
    pub filter: Option<u32>,
    /// Squeeze-and-excitation before the second module.
    pub squeeze: Option<SqueezeExcite>,
    /// Whether the shortcut is a separable convolution; else it is the identity.
    pub convolved: bool,
    /// Whether the first module has the attention of GhostNetV2.
    pub attention: bool,
}

/// Appends a ghost module: `primary_conv` and `cheap_operation`, with an optional activation after each.
fn module(b: &mut Builder, x: Val, out: u32, act: Option<ActFn>) -> Result<Val, ShapeError> {
    let act = |b: &mut Builder, y| act.map_or(Ok(y), |f| b.act(f, y));
    let dense = b.within("primary_conv", |b| {
        let y = pointwise(b, 0, x, Sections::plain(out.div_ceil(2)))?;
        act(b, y)
    })?;
    let cheap = b.within("cheap_operation", |b| {
        let y = filter(b, 0, dense, (3, 1), Groups::Depthwise)?;
        act(b, y)
    })?;
    let all = b.op(Op::Concat, &[dense, cheap])?;
    if b.channels(all) == out { Ok(all) } else { b.op(Op::Slice { start: 0, len: out }, &[all]) }
}

/// Appends the attention of GhostNetV2 (Tang et al., 2022), which scales `y` by what rows and columns of `x` say, at half its
/// resolution: `short_conv`.
fn attend(b: &mut Builder, x: Val, y: Val) -> Result<Val, ShapeError> {
    let ((h, w), out) = (b.hw(y)?, b.value(y).sections.clone());
    // A map of one row or column is not halved.
    let side = 2.min(h).min(w);
    let half = b.op(Op::AvgPool { kernel: side, stride: side, pad: 0 }, &[x])?;
    let gate = b.within("short_conv", |b| {
        let y = pointwise(b, 0, half, out)?;
        let y = filter(b, 2, y, (5, 1), Groups::DepthwiseRow)?;
        filter(b, 4, y, (5, 1), Groups::DepthwiseColumn)
    })?;
    let gate = b.act(ActFn::Sigmoid, gate)?;
    let gate = b.op(Op::ResizeNearest { h, w }, &[gate])?;
    b.op(Op::Mul, &[y, gate])
}

impl Block for GhostBottleneck {
    fn kind(&self) -> &'static str {
        "ghost_bottleneck"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let mut y = b.within("ghost1", |b| {
            let y = module(b, x, self.mid, Some(ActFn::Relu))?;
            if self.attention { attend(b, x, y) } else { Ok(y) }
        })?;
        if let Some(stride) = self.filter {
            y = b.depthwise("conv_dw", y, self.kernel, stride, false)?;
            y = b.bn("bn_dw", y)?;
        }
        if let Some(squeeze) = self.squeeze {
            y = squeeze.append(b, y)?;
        }
        y = b.within("ghost2", |b| module(b, y, self.out, None))?;
        if !self.convolved {
            return b.add(x, y);
        }
        let shortcut = b.within("shortcut", |b| {
            let filtered = filter(b, 0, x, (self.kernel, self.filter.unwrap_or(1)), Groups::Depthwise)?;
            pointwise(b, 2, filtered, Sections::halves(self.out))
        })?;
        b.add(y, shortcut)
    }
}
