//! The block of MobileViT (Mehta and Rastegari, 2021): local convolution, global attention across patches, fusion with the
//! block's input by a 3x3 convolution.

use super::conv_bn::ConvBn;
use super::patches::over_patches;
use super::transformer::TransformerLayer;
use crate::ir::{ActFn, Block, Builder, Op, Sections, ShapeError, Val};

/// A MobileViT v1 block; its output has the channels of its input.
#[derive(Clone, Debug, Hash)]
pub struct MobileVitV1 {
    /// Transformer layers.
    pub layers: u32,
    /// Side of a patch in pixels.
    pub patch: u32,
    /// Sizes of a layer.
    pub layer: TransformerLayer,
}

impl Block for MobileVitV1 {
    fn kind(&self) -> &'static str {
        "mobilevit_v1"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("MobileViTBlock");
        // As in ml-cvnets, which passes no dilation on to this block.
        b.keep_undilated();
        let c = b.channels(x);
        let unit = |kernel| ConvBn::dense(Sections::plain(c), kernel).act(ActFn::Silu);
        let y = unit(3).append(b, "conv_kxk", x)?;
        let y = b.conv("conv_1x1", y, self.layer.dim, 1, 1, false)?;
        let y = over_patches(b, y, self.patch, self.layers, &self.layer)?;
        let y = unit(1).append(b, "conv_proj", y)?;
        let y = b.op(Op::Concat, &[x, y])?;
        unit(3).append(b, "conv_fusion", y)
    }
}
