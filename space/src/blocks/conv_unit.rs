//! Convolution, batch norm, activation: the unit of every convolutional network here.

use crate::ir::{ActFn, Block, Builder, ShapeError, Val};

/// A dense convolution, its batch norm and, if given, its activation.
#[derive(Clone, Debug, Hash)]
pub struct ConvUnit {
    /// Name of the convolution under the block's path.
    pub conv: &'static str,
    /// Name of the batch norm.
    pub bn: &'static str,
    /// Output channels.
    pub out: u32,
    /// Kernel size.
    pub kernel: u32,
    /// Stride.
    pub stride: u32,
    /// Whether the convolution has a bias of its own.
    pub bias: bool,
    /// Activation.
    pub act: Option<ActFn>,
}

impl Block for ConvUnit {
    fn kind(&self) -> &'static str {
        "conv_unit"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let y = b.conv(self.conv, x, self.out, self.kernel, self.stride, self.bias)?;
        let y = b.bn(self.bn, y)?;
        self.act.map_or(Ok(y), |f| b.act(f, y))
    }
}

/// The same as a piece of a larger block, under one step of its path: `NAME.conv`, `NAME.bn`, stride 1.
///
/// # Errors
/// When `x` is no map.
pub fn conv_bn_act(
    b: &mut Builder,
    name: &'static str,
    x: Val,
    out: u32,
    kernel: u32,
    act: Option<ActFn>,
) -> Result<Val, ShapeError> {
    let unit = ConvUnit { conv: "conv", bn: "bn", out, kernel, stride: 1, bias: false, act };
    b.within(name, |b| unit.lower(b, x))
}
