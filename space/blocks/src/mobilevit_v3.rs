//! The block of MobileViTv3 (Wadekar and Chaurasia, 2022): a depthwise local convolution, fusion of local and global
//! features by a 1x1 convolution, and a residual.

use super::conv_bn::ConvBn;
use super::patches::{local, over_patches};
use super::transformer::TransformerLayer;
use crate::ir::{ActFn, Block, Builder, Op, Sections, ShapeError, Val};

/// A MobileViTv3 block with the attention of MobileViT v1; its output has the channels of its input.
#[derive(Clone, Debug, Hash)]
pub struct MobileVitV3 {
    /// Transformer layers.
    pub layers: u32,
    /// Side of a patch in pixels.
    pub patch: u32,
    /// Sizes of a layer.
    pub layer: TransformerLayer,
}

impl Block for MobileVitV3 {
    fn kind(&self) -> &'static str {
        "mobilevit_v3"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("MobileViTBlock");
        // As in ml-cvnets, which passes no dilation on to this block.
        b.keep_undilated();
        let c = b.channels(x);
        let unit = || ConvBn::dense(Sections::plain(c), 1).act(ActFn::Silu);
        let local = local(b, x, self.layer.dim)?;
        let global = over_patches(b, local, self.patch, self.layers, &self.layer)?;
        let global = unit().append(b, "conv_proj", global)?;
        let both = b.op(Op::Concat, &[local, global])?;
        let y = unit().append(b, "conv_fusion", both)?;
        b.add(x, y)
    }
}
