//! Parts of the MobileViT blocks: local features by a depthwise convolution, global ones by attention among the pixels at the
//! same position in all patches.

use super::conv_bn::ConvBn;
use super::separable::{SeparableLayer, separable_layer};
use super::transformer::{TransformerLayer, transformer_layer};
use crate::ir::{ActFn, Builder, Layout, Op, ShapeError, Val};

/// The local features of MobileViT v2 and v3: a depthwise `conv_kxk`, then `conv_1x1` to the width of the transformer.
///
/// # Errors
/// When `x` is not a map.
pub(super) fn local(b: &mut Builder, x: Val, dim: u32) -> Result<Val, ShapeError> {
    let y = ConvBn::depthwise(3).act(ActFn::Silu).append(b, "conv_kxk", x)?;
    b.conv("conv_1x1", y, dim, 1, 1, false)
}

/// Resizes a map up to the next multiple of the patch, unless it is one.
///
/// # Errors
/// When `x` is not a map, or the patch has no pixels.
pub(super) fn whole_patches(b: &mut Builder, x: Val, patch: u32, align_corners: bool) -> Result<Val, ShapeError> {
    let (h, w) = b.hw(x)?;
    if patch == 0 {
        return Err(b.error("a patch of 0 pixels", "at least 1"));
    }
    let (up_h, up_w) = (h.next_multiple_of(patch), w.next_multiple_of(patch));
    if (up_h, up_w) == (h, w) { Ok(x) } else { b.op(Op::Resize { h: up_h, w: up_w, align_corners }, &[x]) }
}

/// Runs `layers` transformer layers across the patches of a map, and folds them back to a map of the same size.
///
/// A map whose sides are not multiples of the patch is resized up to the next multiple and back.
///
/// # Errors
/// When `x` is not a map, or a size does not fit.
pub(super) fn over_patches(
    b: &mut Builder,
    x: Val,
    patch: u32,
    layers: u32,
    l: &TransformerLayer,
) -> Result<Val, ShapeError> {
    let (h, w) = b.hw(x)?;
    let mut y = whole_patches(b, x, patch, false)?;
    let (up_h, up_w) = b.hw(y)?;
    y = b.op(Op::Unfold { patch, layout: Layout::Rows }, &[y])?;
    for i in 0..layers {
        y = b.within("transformer", |b| b.within(i, |b| transformer_layer(b, y, l)))?;
    }
    y = b.op_at("norm", Op::layer_norm(l.eps_e7), &[y])?;
    y = b.op(Op::Fold { patch, layout: Layout::Rows, h: up_h, w: up_w }, &[y])?;
    if (up_h, up_w) == (h, w) { Ok(y) } else { b.op(Op::Resize { h, w, align_corners: false }, &[y]) }
}

/// The same with separable attention, on a map whose sides are multiples of the patch.
///
/// # Errors
/// When `x` is not such a map, or a size does not fit.
pub(super) fn separable_over_patches(
    b: &mut Builder,
    x: Val,
    patch: u32,
    layers: u32,
    l: &SeparableLayer,
) -> Result<Val, ShapeError> {
    let (h, w) = b.hw(x)?;
    let mut y = b.op(Op::Unfold { patch, layout: Layout::Map }, &[x])?;
    for i in 0..layers {
        y = b.within("transformer", |b| b.within(i, |b| separable_layer(b, y, l)))?;
    }
    y = b.op_at("norm", Op::GROUP_NORM, &[y])?;
    b.op(Op::Fold { patch, layout: Layout::Map, h, w }, &[y])
}
