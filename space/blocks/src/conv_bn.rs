//! Convolution, batch norm, activation.

use crate::ir::{ActFn, Block, Builder, Groups, Op, PathSegment, Sections, ShapeError, Val};

/// A dense convolution with batch norm and an optional activation, as a block.
#[derive(Clone, Debug, Hash)]
pub struct ConvBnAct {
    /// Name of the convolution under the block's path.
    pub conv: &'static str,
    /// Name of the batch norm.
    pub bn: &'static str,
    /// Output channels.
    pub out: Sections,
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
        b.class("ConvNorm");
        let ConvBnAct { kernel, stride, bias, .. } = *self;
        let (out, groups) = (self.out.clone(), Groups::Dense);
        let y =
            b.op_at(self.conv, Op::Conv { out, kernel, stride, pad: kernel / 2, dilation: 1, groups, bias }, &[x])?;
        let y = b.bn(self.bn, y)?;
        self.act.map_or(Ok(y), |f| b.act(f, y))
    }
}

/// Convolution, batch norm and optional activation inside a block, as `NAME.conv` and `NAME.bn`.
#[derive(Clone, Debug)]
pub struct ConvBn {
    out: Option<Sections>,
    groups: Groups,
    kernel: u32,
    stride: u32,
    bias: bool,
    act: Option<ActFn>,
}

impl ConvBn {
    /// A dense convolution to the given channels, without bias or activation.
    pub fn dense(out: Sections, kernel: u32) -> ConvBn {
        ConvBn { out: Some(out), groups: Groups::Dense, kernel, stride: 1, bias: false, act: None }
    }

    /// A depthwise convolution, without bias or activation.
    pub fn depthwise(kernel: u32) -> ConvBn {
        ConvBn { out: None, groups: Groups::Depthwise, kernel, stride: 1, bias: false, act: None }
    }

    /// A depthwise convolution to a multiple of the channels.
    pub fn depthwise_to(out: Sections, kernel: u32) -> ConvBn {
        ConvBn { out: Some(out), ..ConvBn::depthwise(kernel) }
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
    pub fn append(self, b: &mut Builder, name: impl Into<PathSegment>, x: Val) -> Result<Val, ShapeError> {
        let ConvBn { out, groups, kernel, stride, bias, act } = self;
        let out = out.unwrap_or_else(|| b.value(x).sections.clone());
        b.within(name, |b| {
            b.class("ConvNorm");
            let y =
                b.op_at("conv", Op::Conv { out, kernel, stride, pad: kernel / 2, dilation: 1, groups, bias }, &[x])?;
            let y = b.bn("bn", y)?;
            act.map_or(Ok(y), |f| b.act(f, y))
        })
    }
}

/// Appends a 1x1 convolution and a batch norm under two indices.
///
/// # Errors
/// When `x` is not a map.
pub(super) fn pointwise(b: &mut Builder, first: u32, x: Val, out: Sections) -> Result<Val, ShapeError> {
    let conv = Op::Conv { out, kernel: 1, stride: 1, pad: 0, dilation: 1, groups: Groups::Dense, bias: false };
    let y = b.op_at(first, conv, &[x])?;
    b.op_at(first + 1, Op::BatchNorm, &[y])
}

/// Appends a convolution of each channel, of a kernel and a stride, and a batch norm under two indices.
///
/// # Errors
/// When `x` is not a map, or too small.
pub(super) fn filter(
    b: &mut Builder,
    first: u32,
    x: Val,
    (kernel, stride): (u32, u32),
    groups: Groups,
) -> Result<Val, ShapeError> {
    let out = b.value(x).sections.clone();
    let y =
        b.op_at(first, Op::Conv { out, kernel, stride, pad: kernel / 2, dilation: 1, groups, bias: false }, &[x])?;
    b.op_at(first + 1, Op::BatchNorm, &[y])
}
