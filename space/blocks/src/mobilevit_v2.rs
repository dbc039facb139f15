//! The block of MobileViTv2 (Mehta and Rastegari, 2022), with separable self-attention in linear time, and its form in
//! MobileViTv3 (Wadekar and Chaurasia, 2022).

use super::conv_bn::ConvBn;
use super::patches::{local, separable_over_patches, whole_patches};
use super::separable::SeparableLayer;
use crate::ir::{Block, Builder, Op, Sections, ShapeError, Val};

/// A MobileViTv2 block; its output has the channels of its input.
///
/// A map whose sides are not multiples of the patch is resized up to the next multiple, and not back.
#[derive(Clone, Debug, Hash)]
pub struct MobileVitV2 {
    /// Transformer layers.
    pub layers: u32,
    /// Side of a patch in pixels.
    pub patch: u32,
    /// Sizes of a layer.
    pub layer: SeparableLayer,
    /// Whether local features are concatenated to the global ones and the input is added, as in MobileViTv3.
    pub fuse: bool,
}

impl Block for MobileVitV2 {
    fn kind(&self) -> &'static str {
        "mobilevit_v2"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("MobileViTBlock");
        let project = ConvBn::dense(Sections::plain(b.channels(x)), 1);
        let x = whole_patches(b, x, self.patch, true)?;
        let local = local(b, x, self.layer.dim)?;
        let global = separable_over_patches(b, local, self.patch, self.layers, &self.layer)?;
        if !self.fuse {
            return project.append(b, "conv_proj", global);
        }
        let both = b.op(Op::Concat, &[global, local])?;
        let y = project.append(b, "conv_proj", both)?;
        b.add(x, y)
    }
}
