//! The inverted residual of MobileNetV2 (Sandler et al., 2018): expansion, depthwise convolution, linear projection; and of
//! MobileNetV3 (Howard et al., 2019), with optional squeeze-and-excitation before the projection.

use super::squeeze_excite::squeeze_excite;
use crate::ir::{ActFn, Block, Builder, ShapeError, Val};

/// The names of the block's tensors in published checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Naming {
    /// `conv1_1x1.conv`, `conv1_1x1.bn`, `conv2_kxk...`, `conv3_1x1...`
    Units,
    /// `conv_pw`, `bn1`, `conv_dw`, `bn2`, `conv_pwl`, `bn3`
    Flat,
}

/// Expands to `mid` channels, filters each, projects to `out`; with a residual if the shape stays the same.
#[derive(Clone, Debug, Hash)]
pub struct InvertedResidual {
    /// Channels after the expansion; `None` leaves the expansion out.
    pub mid: Option<u32>,
    /// Output channels.
    pub out: u32,
    /// Kernel of the depthwise convolution.
    pub kernel: u32,
    /// Its stride.
    pub stride: u32,
    /// Activation after the first two convolutions.
    pub act: ActFn,
    /// Channels inside squeeze-and-excitation; `None` leaves it out.
    pub squeeze: Option<u32>,
    /// Names of the tensors.
    pub naming: Naming,
}

/// Names of a convolution and its norm, and the path segment that both are under, if any.
type Names = (Option<&'static str>, &'static str, &'static str);

impl InvertedResidual {
    fn names(&self) -> [Names; 3] {
        match (self.naming, self.mid) {
            (Naming::Units, _) => [
                (Some("conv1_1x1"), "conv", "bn"),
                (Some("conv2_kxk"), "conv", "bn"),
                (Some("conv3_1x1"), "conv", "bn"),
            ],
            (Naming::Flat, Some(_)) => [(None, "conv_pw", "bn1"), (None, "conv_dw", "bn2"), (None, "conv_pwl", "bn3")],
            (Naming::Flat, None) => [(None, "", ""), (None, "conv_dw", "bn1"), (None, "conv_pw", "bn2")],
        }
    }
}

/// Runs `f` under a path segment, if there is one.
fn maybe_within(
    b: &mut Builder,
    segment: Option<&'static str>,
    f: impl FnOnce(&mut Builder) -> Result<Val, ShapeError>,
) -> Result<Val, ShapeError> {
    match segment {
        Some(s) => b.within(s, f),
        None => f(b),
    }
}

impl Block for InvertedResidual {
    fn kind(&self) -> &'static str {
        "inverted_residual"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let [expand, filter, project] = self.names();
        let mut y = x;
        if let Some(mid) = self.mid {
            y = maybe_within(b, expand.0, |b| {
                let y = b.conv(expand.1, y, mid, 1, 1, false)?;
                let y = b.bn(expand.2, y)?;
                b.act(self.act, y)
            })?;
        }
        y = maybe_within(b, filter.0, |b| {
            let y = b.depthwise(filter.1, y, self.kernel, self.stride, false)?;
            let y = b.bn(filter.2, y)?;
            b.act(self.act, y)
        })?;
        if let Some(reduced) = self.squeeze {
            y = squeeze_excite(b, y, reduced)?;
        }
        y = maybe_within(b, project.0, |b| {
            let y = b.conv(project.1, y, self.out, 1, 1, false)?;
            b.bn(project.2, y)
        })?;
        if self.stride == 1 && b.channels(x) == self.out { b.add(x, y) } else { Ok(y) }
    }
}
