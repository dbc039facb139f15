//! The fused inverted residual (Gupta and Tan, 2019): one dense convolution in place of the expansion and the depthwise one.

use super::residual::residual;
use crate::ir::{ActFn, Block, Builder, Op, ShapeError, Val};

/// `conv_exp`, `bn1`, `conv_pwl`, `bn2`; with a residual if the shape stays the same.
#[derive(Clone, Debug, Hash)]
pub struct FusedResidual {
    /// Channels after the first convolution.
    pub mid: u32,
    /// Output channels.
    pub out: u32,
    /// Kernel of the first convolution.
    pub kernel: u32,
    /// Its stride.
    pub stride: u32,
    /// Activation after it.
    pub act: ActFn,
    /// Whether the first convolution has a stride of 1 and an average pool after it.
    pub averaged: bool,
}

/// Appends an average of windows as large as the stride, where there is one.
///
/// # Errors
/// When `x` is smaller than a window.
pub(super) fn average(b: &mut Builder, x: Val, stride: u32) -> Result<Val, ShapeError> {
    if stride == 1 { Ok(x) } else { b.op(Op::AvgPool { kernel: stride, stride, pad: 0 }, &[x]) }
}

impl Block for FusedResidual {
    fn kind(&self) -> &'static str {
        "fused_residual"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let stride = if self.averaged { 1 } else { self.stride };
        let y = b.conv("conv_exp", x, self.mid, self.kernel, stride, false)?;
        let y = b.bn("bn1", y)?;
        let y = b.act(self.act, y)?;
        let y = if self.averaged { average(b, y, self.stride)? } else { y };
        let y = b.conv("conv_pwl", y, self.out, 1, 1, false)?;
        let y = b.bn("bn2", y)?;
        if self.stride == 1 && b.channels(x) == self.out { residual(b, x, y, 0) } else { Ok(y) }
    }
}
