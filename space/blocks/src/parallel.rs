//! The block of MobileOne (Vasu et al., 2022): a convolution that is trained as parallel branches, and deployed as one.

use super::conv_bn::ConvBn;
use super::squeeze_excite::SqueezeExcite;
use crate::ir::{ActFn, Block, Builder, Sections, ShapeError, Val};

/// The sum of `identity`, a batch norm of the input; `conv_scale`, a 1x1 convolution; and convolutions `conv_kxk`; then an
/// optional squeeze-and-excitation and an activation.
#[derive(Clone, Debug, Hash)]
pub struct Parallel {
    /// Output channels.
    pub out: u32,
    /// Kernel.
    pub kernel: u32,
    /// Stride.
    pub stride: u32,
    /// Whether each channel is filtered alone.
    pub depthwise: bool,
    /// Whether the input itself is a branch.
    pub identity: bool,
    /// Whether a 1x1 convolution is a branch beside a larger kernel.
    pub scale: bool,
    /// Number of convolutions of the kernel.
    pub branches: u32,
    /// Name and channels of a squeeze-and-excitation.
    pub squeeze: Option<(&'static str, u32)>,
    /// Activation.
    pub act: Option<ActFn>,
}

fn sum(b: &mut Builder, branches: Vec<Val>) -> Result<Val, ShapeError> {
    let (first, rest) = branches.split_first().ok_or_else(|| b.error("no branch", "at least one"))?;
    rest.iter().try_fold(*first, |y, branch| b.add(y, *branch))
}

impl Parallel {
    /// A dense convolution with a branch for each way, without an activation.
    pub fn dense(out: u32, kernel: u32) -> Parallel {
        let (depthwise, identity, scale) = (false, true, true);
        Parallel { out, kernel, stride: 1, depthwise, identity, scale, branches: 1, squeeze: None, act: None }
    }

    /// A depthwise convolution with a branch for each way, without an activation.
    pub fn depthwise(out: u32, kernel: u32) -> Parallel {
        Parallel { depthwise: true, ..Parallel::dense(out, kernel) }
    }

    /// With a stride, which leaves no place for the input.
    #[must_use]
    pub fn stride(self, stride: u32) -> Parallel {
        Parallel { stride, identity: false, ..self }
    }

    fn conv(&self, kernel: u32) -> ConvBn {
        let out = Sections::plain(self.out);
        let conv = if self.depthwise { ConvBn::depthwise_to(out, kernel) } else { ConvBn::dense(out, kernel) };
        conv.stride(self.stride)
    }

    /// Appends the branches at the current path.
    ///
    /// # Errors
    /// When `x` is not a map, or there is no branch.
    pub(super) fn append(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("MobileOneBlock");
        let mut branches = Vec::new();
        if self.identity {
            branches.push(b.bn("identity", x)?);
        }
        if self.scale && self.kernel > 1 {
            branches.push(self.conv(1).append(b, "conv_scale", x)?);
        }
        if self.branches > 0 {
            branches.push(b.within("conv_kxk", |b| {
                if self.branches > 1 {
                    b.class("ConvBranches");
                }
                let convs =
                    (0..self.branches).map(|i| self.conv(self.kernel).append(b, i, x)).collect::<Result<_, _>>();
                sum(b, convs?)
            })?);
        }
        let mut y = sum(b, branches)?;
        if let Some((name, reduced)) = self.squeeze {
            y = SqueezeExcite::plain(reduced).append_as(b, y, name, ["fc1", "fc2"])?;
        }
        self.act.map_or(Ok(y), |f| b.act(f, y))
    }
}

impl Block for Parallel {
    fn kind(&self) -> &'static str {
        "mobileone"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        self.append(b, x)
    }
}
