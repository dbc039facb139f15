//! The blocks of MobileViTv3 (Wadekar and Chaurasia, 2022): depthwise local convolution, fusion of the local and the
//! global features by a 1x1 convolution, and the block's input added at the end.

use super::conv_unit::Unit;
use super::patches::{local, over_patches};
use super::transformer::Layer;
use crate::ir::{ActFn, Block, Builder, Op, Sections, ShapeError, Val};

/// A MobileViTv3 block with the attention of MobileViT v1; its output has the channels of its input.
#[derive(Clone, Debug, Hash)]
pub struct MobileVitV3 {
    /// Transformer layers.
    pub layers: u32,
    /// Side of a patch in pixels.
    pub patch: u32,
    /// One layer.
    pub layer: Layer,
}

impl Block for MobileVitV3 {
    fn kind(&self) -> &'static str {
        "mobilevit_v3"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let c = b.channels(x);
        let unit = || Unit::dense(Sections::plain(c), 1).act(ActFn::Silu);
        let local = local(b, x, self.layer.dim)?;
        let global = over_patches(b, local, self.patch, self.layers, &self.layer)?;
        let global = unit().write(b, "conv_proj", global)?;
        let both = b.op(Op::Concat, &[local, global])?;
        let y = unit().write(b, "conv_fusion", both)?;
        b.add(x, y)
    }
}
