//! Convolution, batch norm, activation.

use crate::ir::{ActFn, Block, Builder, Groups, Op, Sections, ShapeError, Val};

/// A dense convolution with batch norm and an optional activation, as a block.
#[derive(Clone, Debug, Hash)]
pub struct ConvBnAct {
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
    /// Whether the convolution has a bias.
    pub bias: bool,
    /// Activation.
    pub act: Option<ActFn>,
}

impl Block for ConvBnAct {
    fn kind(&self) -> &'static str {
        "conv_unit"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let y = b.conv(self.conv, x, self.out, self.kernel, self.stride, self.bias)?;
        let y = b.bn(self.bn, y)?;
        self.act.map_or(Ok(y), |f| b.act(f, y))
    }
}

/// Convolution, batch norm and optional activation inside a block, as `NAME.conv` and `NAME.bn`.
#[derive(Clone, Debug)]
pub struct ConvBn {
    out: Option<Sections>,
    kernel: u32,
    stride: u32,
    bias: bool,
    act: Option<ActFn>,
}

impl ConvBn {
    /// A dense convolution to the given channels, without bias or activation.
    pub fn dense(out: Sections, kernel: u32) -> ConvBn {
        ConvBn { out: Some(out), kernel, stride: 1, bias: false, act: None }
    }

    /// A depthwise convolution, without bias or activation.
    pub fn depthwise(kernel: u32) -> ConvBn {
        ConvBn { out: None, kernel, stride: 1, bias: false, act: None }
    }

    /// With a stride.
    #[must_use]
    pub fn stride(self, stride: u32) -> ConvBn {
        ConvBn { stride, ..self }
    }

    /// With a bias of the convolution.
    #[must_use]
    pub fn bias(self) -> ConvBn {
        ConvBn { bias: true, ..self }
    }

    /// With an activation.
    #[must_use]
    pub fn act(self, f: ActFn) -> ConvBn {
        ConvBn { act: Some(f), ..self }
    }

    /// Appends the operations under `name`.
    ///
    /// # Errors
    /// When `x` is not a map, or too small.
    pub fn append(self, b: &mut Builder, name: &'static str, x: Val) -> Result<Val, ShapeError> {
        let ConvBn { out, kernel, stride, bias, act } = self;
        let groups = if out.is_some() { Groups::Dense } else { Groups::Depthwise };
        let out = out.unwrap_or_else(|| b.value(x).sections.clone());
        b.within(name, |b| {
            let y = b.op_at("conv", Op::Conv { out, kernel, stride, pad: kernel / 2, groups, bias }, &[x])?;
            let y = b.bn("bn", y)?;
            act.map_or(Ok(y), |f| b.act(f, y))
        })
    }
}
