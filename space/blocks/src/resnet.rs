//! The blocks of ResNet (He et al., 2015), with the stride in the 3x3 convolution, and of SE-ResNet (Hu et al., 2018).

use super::squeeze_excite::SqueezeExcite;
use crate::ir::{ActFn, Block, Builder, Groups, Op, Sections, ShapeError, Val};

/// `conv1`, `bn1`, an activation and a 3x3 maximum with stride 2.
#[derive(Clone, Debug, Hash)]
pub struct ResNetStem {
    /// Output channels.
    pub out: u32,
    /// Stride of the convolution.
    pub stride: u32,
}

impl Block for ResNetStem {
    fn kind(&self) -> &'static str {
        "resnet_stem"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let y = b.conv("conv1", x, self.out, 7, self.stride, false)?;
        let y = b.bn("bn1", y)?;
        let y = b.act(ActFn::Relu, y)?;
        b.op(Op::MaxPool { kernel: 3, stride: 2, pad: 1 }, &[y])
    }
}

/// Two convolutions of 3x3, or a bottleneck of 1x1, 3x3 and 1x1 to four times the channels; a sum, and an activation.
#[derive(Clone, Debug, Hash)]
pub struct ResNetBlock {
    /// Channels of the 3x3 convolutions.
    pub width: u32,
    /// Stride.
    pub stride: u32,
    /// Whether it is a bottleneck.
    pub bottleneck: bool,
    /// Whether the shortcut is a convolution, `downsample`.
    pub convolved: bool,
    /// Whether there is a squeeze-and-excitation before the sum.
    pub squeeze: bool,
}

impl ResNetBlock {
    /// Output channels.
    pub fn out(&self) -> u32 {
        if self.bottleneck { 4 * self.width } else { self.width }
    }
}

impl Block for ResNetBlock {
    fn kind(&self) -> &'static str {
        "resnet"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class(if self.bottleneck { "Bottleneck" } else { "BasicBlock" });
        let (width, out, stride) = (self.width, self.out(), self.stride);
        let basic = [("conv1", "bn1", width, 3, stride), ("conv2", "bn2", width, 3, 1)];
        let bottleneck =
            [("conv1", "bn1", width, 1, 1), ("conv2", "bn2", width, 3, stride), ("conv3", "bn3", out, 1, 1)];
        let convs = if self.bottleneck { &bottleneck[..] } else { &basic[..] };
        let mut y = x;
        for (i, (conv, bn, out, kernel, stride)) in convs.iter().enumerate() {
            y = b.conv(conv, y, *out, *kernel, *stride, false)?;
            y = b.bn(bn, y)?;
            y = if i + 1 < convs.len() { b.act(ActFn::Relu, y)? } else { y };
        }
        if self.squeeze {
            y = SqueezeExcite::plain(out / 16).append_as(b, y, "se", ["fc1", "fc2"])?;
        }
        let shortcut = match self.convolved {
            true => b.within("downsample", |b| {
                let (out, groups) = (Sections::plain(out), Groups::Dense);
                let y =
                    b.op_at(0u32, Op::Conv { out, kernel: 1, stride, pad: 0, dilation: 1, groups, bias: false }, &[x])?;
                b.op_at(1u32, Op::BatchNorm, &[y])
            })?,
            false => x,
        };
        let y = b.add(shortcut, y)?;
        b.act(ActFn::Relu, y)
    }
}
