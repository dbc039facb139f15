//! Convolution, batch norm, activation: the unit of every convolutional network here.

use crate::ir::{ActFn, Block, Builder, Groups, Op, Sections, ShapeError, Val};

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

/// A unit as a piece of a larger block, under one step of its path: `NAME.conv`, `NAME.bn`.
#[derive(Clone, Debug)]
pub struct Unit {
    out: Option<Sections>,
    kernel: u32,
    stride: u32,
    bias: bool,
    act: Option<ActFn>,
}

impl Unit {
    /// A dense convolution to the given channels, without bias and activation.
    pub fn dense(out: Sections, kernel: u32) -> Unit {
        Unit { out: Some(out), kernel, stride: 1, bias: false, act: None }
    }

    /// A depthwise convolution, without bias and activation.
    pub fn depthwise(kernel: u32) -> Unit {
        Unit { out: None, kernel, stride: 1, bias: false, act: None }
    }

    /// The same with a stride.
    #[must_use]
    pub fn stride(self, stride: u32) -> Unit {
        Unit { stride, ..self }
    }

    /// The same with a bias of the convolution's own.
    #[must_use]
    pub fn bias(self) -> Unit {
        Unit { bias: true, ..self }
    }

    /// The same with an activation.
    #[must_use]
    pub fn act(self, f: ActFn) -> Unit {
        Unit { act: Some(f), ..self }
    }

    /// Appends the unit under one more step of the path.
    ///
    /// # Errors
    /// When `x` is no map, or too small.
    pub fn write(self, b: &mut Builder, name: &'static str, x: Val) -> Result<Val, ShapeError> {
        let Unit { out, kernel, stride, bias, act } = self;
        let groups = if out.is_some() { Groups::Dense } else { Groups::Depthwise };
        let out = out.unwrap_or_else(|| b.value(x).sections.clone());
        b.within(name, |b| {
            let y = b.op_at("conv", Op::Conv { out, kernel, stride, pad: kernel / 2, groups, bias }, &[x])?;
            let y = b.bn("bn", y)?;
            act.map_or(Ok(y), |f| b.act(f, y))
        })
    }
}
