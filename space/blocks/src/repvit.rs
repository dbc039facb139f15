//! The blocks of RepViT (Wang et al., 2023): a depthwise convolution that is trained as parallel branches, then an MLP over
//! the channels.

use super::nearest_multiple;
use super::squeeze_excite::SqueezeExcite;
use crate::ir::{ActFn, Block, Builder, Groups, Op, PathSegment, Sections, ShapeError, Val};

/// Appends a convolution `NAME.c` and its batch norm `NAME.bn`; depthwise without `out`.
///
/// # Errors
/// When `x` is not a map, or too small.
pub(super) fn conv_norm(
    b: &mut Builder,
    name: impl Into<PathSegment>,
    x: Val,
    out: Option<Sections>,
    (kernel, stride): (u32, u32),
) -> Result<Val, ShapeError> {
    b.within(name, |b| append(b, "c", x, out, (kernel, stride)))
}

/// A convolution `LEAF` and its batch norm `bn` at the current path.
///
/// # Errors
/// When `x` is not a map, or too small.
pub(super) fn append(
    b: &mut Builder,
    leaf: &'static str,
    x: Val,
    out: Option<Sections>,
    (kernel, stride): (u32, u32),
) -> Result<Val, ShapeError> {
    b.class("ConvNorm");
    let groups = if out.is_some() { Groups::Dense } else { Groups::Depthwise };
    let out = out.unwrap_or_else(|| b.value(x).sections.clone());
    let y = b.op_at(leaf, Op::Conv { out, kernel, stride, pad: kernel / 2, dilation: 1, groups, bias: false }, &[x])?;
    b.bn("bn", y)
}

/// `conv1`, an activation and `conv2`, with a residual.
fn mlp(b: &mut Builder, name: &'static str, x: Val, hidden: u32, act: ActFn) -> Result<Val, ShapeError> {
    let out = b.value(x).sections.clone();
    let y = b.within(name, |b| {
        b.class("RepVitMlp");
        let y = conv_norm(b, "conv1", x, Some(Sections::plain(hidden)), (1, 1))?;
        let y = b.act(act, y)?;
        conv_norm(b, "conv2", y, Some(out), (1, 1))
    })?;
    b.add(x, y)
}

/// Two convolutions with a stride, and an activation between them.
#[derive(Clone, Debug, Hash)]
pub struct RepVitStem {
    /// Output channels of both convolutions.
    pub widths: [u32; 2],
    /// Stride of the first; the second has 2.
    pub stride: u32,
    /// Activation.
    pub act: ActFn,
}

impl Block for RepVitStem {
    fn kind(&self) -> &'static str {
        "repvit_stem"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("RepVitStem");
        let y = conv_norm(b, "conv1", x, Some(Sections::plain(self.widths[0])), (3, self.stride))?;
        let y = b.act(self.act, y)?;
        conv_norm(b, "conv2", y, Some(Sections::plain(self.widths[1])), (3, 2))
    }
}

/// `token_mixer`, a squeeze-and-excitation in every other block, and `channel_mixer`.
#[derive(Clone, Debug, Hash)]
pub struct RepVit {
    /// Kernel of the token mixer.
    pub kernel: u32,
    /// Hidden channels over those of the map.
    pub expand: u32,
    /// Whether there is a squeeze-and-excitation.
    pub squeeze: bool,
    /// Whether each branch of the token mixer has a batch norm of its own, as in the first release.
    pub legacy: bool,
    /// Activation.
    pub act: ActFn,
}

impl RepVit {
    /// A convolution, a factor for each channel and the input itself, summed.
    fn mix(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("RepVggDw");
        let large = conv_norm(b, "conv", x, None, (self.kernel, 1))?;
        let small = match self.legacy {
            true => conv_norm(b, "conv1", x, None, (1, 1))?,
            false => b.depthwise("conv1", x, 1, 1, true)?,
        };
        let y = b.add(large, small)?;
        let y = b.add(y, x)?;
        if self.legacy { Ok(y) } else { b.bn("bn", y) }
    }

    fn append(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("RepVitBlock");
        let channels = b.channels(x);
        let mut y = b.within("token_mixer", |b| self.mix(b, x))?;
        if self.squeeze {
            let reduced = nearest_multiple(f64::from(channels) * 0.25, 8);
            y = SqueezeExcite::plain(reduced).append_as(b, y, "se", ["fc1", "fc2"])?;
        }
        mlp(b, "channel_mixer", y, channels * self.expand, self.act)
    }
}

impl Block for RepVit {
    fn kind(&self) -> &'static str {
        "repvit"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        self.append(b, x)
    }
}

/// A block, a depthwise convolution with a stride, a convolution to other channels, and an MLP.
#[derive(Clone, Debug, Hash)]
pub struct RepVitDownsample {
    /// The block before it, as `pre_block`.
    pub block: RepVit,
    /// Output channels.
    pub out: u32,
    /// Stride.
    pub stride: u32,
}

impl Block for RepVitDownsample {
    fn kind(&self) -> &'static str {
        "repvit_downsample"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("RepVitDownsample");
        let RepVit { kernel, expand, act, .. } = self.block;
        let y = b.within("pre_block", |b| self.block.append(b, x))?;
        let y = conv_norm(b, "spatial_downsample", y, None, (kernel, self.stride))?;
        let y = conv_norm(b, "channel_downsample", y, Some(Sections::plain(self.out)), (1, 1))?;
        mlp(b, "ffn", y, self.out * expand, act)
    }
}
