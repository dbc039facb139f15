//! The inverted residual of MobileNetV2 (Sandler et al., 2018): expansion, depthwise convolution, linear projection; and of
//! MnasNet (Tan et al., 2019) and what followed it, with optional squeeze-and-excitation before the projection.

use super::residual::residual;
use super::squeeze_excite::SqueezeExcite;
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
    /// Squeeze-and-excitation before the projection.
    pub squeeze: Option<SqueezeExcite>,
    /// Drop rate of stochastic depth, in thousandths.
    pub drop: u32,
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
        Some(s) => b.within(s, |b| {
            b.class("ConvNorm");
            f(b)
        }),
        None => f(b),
    }
}

impl InvertedResidual {
    /// The expansion, if there is one.
    fn expanded(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let ([expand, ..], Some(mid)) = (self.names(), self.mid) else { return Ok(x) };
        maybe_within(b, expand.0, |b| {
            let y = b.conv(expand.1, x, mid, 1, 1, false)?;
            let y = b.bn(expand.2, y)?;
            b.act(self.act, y)
        })
    }

    /// Filter and projection of the expanded map.
    fn projected(&self, b: &mut Builder, mut y: Val) -> Result<Val, ShapeError> {
        let [_, filter, project] = self.names();
        y = maybe_within(b, filter.0, |b| {
            let y = b.depthwise(filter.1, y, self.kernel, self.stride, false)?;
            let y = b.bn(filter.2, y)?;
            b.act(self.act, y)
        })?;
        if let Some(squeeze) = self.squeeze {
            y = squeeze.append(b, y)?;
        }
        maybe_within(b, project.0, |b| {
            let y = b.conv(project.1, y, self.out, 1, 1, false)?;
            b.bn(project.2, y)
        })
    }
}

impl Block for InvertedResidual {
    fn kind(&self) -> &'static str {
        "inverted_residual"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class(if self.mid.is_some() { "InvertedResidual" } else { "DepthwiseSeparable" });
        let y = self.expanded(b, x)?;
        let y = self.projected(b, y)?;
        if self.stride == 1 && b.channels(x) == self.out { residual(b, x, y, self.drop) } else { Ok(y) }
    }

    fn split(&self) -> Option<[Box<dyn Block>; 2]> {
        let has_residual = self.stride == 1;
        (self.mid.is_some() && !has_residual)
            .then(|| -> [Box<dyn Block>; 2] { [Box::new(Expansion(self.clone())), Box::new(Projection(self.clone()))] })
    }
}

/// The expansion of an inverted residual.
#[derive(Debug, Hash)]
struct Expansion(InvertedResidual);

impl Block for Expansion {
    fn kind(&self) -> &'static str {
        "inverted_residual_expansion"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        self.0.expanded(b, x)
    }
}

/// What an inverted residual without a sum does after its expansion.
#[derive(Debug, Hash)]
struct Projection(InvertedResidual);

impl Block for Projection {
    fn kind(&self) -> &'static str {
        "inverted_residual_projection"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        self.0.projected(b, x)
    }
}
