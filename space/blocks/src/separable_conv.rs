//! The separable convolution of MobileNetV1 (Howard et al., 2017): a depthwise convolution, then one over the channels.

use crate::ir::{ActFn, Block, Builder, ShapeError, Val};

/// `conv_dw`, `bn1`, `conv_pw`, `bn2`, with an activation after each norm and no residual.
#[derive(Clone, Debug, Hash)]
pub struct SeparableConv {
    /// Output channels.
    pub out: u32,
    /// Kernel of the depthwise convolution.
    pub kernel: u32,
    /// Its stride.
    pub stride: u32,
    /// Activation.
    pub act: ActFn,
}

impl Block for SeparableConv {
    fn kind(&self) -> &'static str {
        "separable_conv"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let y = b.depthwise("conv_dw", x, self.kernel, self.stride, false)?;
        let y = b.bn("bn1", y)?;
        let y = b.act(self.act, y)?;
        let y = b.conv("conv_pw", y, self.out, 1, 1, false)?;
        let y = b.bn("bn2", y)?;
        b.act(self.act, y)
    }
}
