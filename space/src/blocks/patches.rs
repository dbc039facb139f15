//! Parts of the MobileViT blocks. Local: a depthwise convolution. Global: attention among the pixels that stand at the
//! same place of all patches.

use super::conv_unit::Unit;
use super::separable::{SeparableLayer, separable_layer};
use super::transformer::{Layer, transformer_layer};
use crate::ir::{ActFn, Builder, Layout, Op, ShapeError, Val};

/// The local part of MobileViT v2 and v3: `conv_kxk`, depthwise, then `conv_1x1` to the width of the transformer.
///
/// # Errors
/// When `x` is no map.
pub(super) fn local(b: &mut Builder, x: Val, dim: u32) -> Result<Val, ShapeError> {
    let y = Unit::depthwise(3).act(ActFn::Silu).write(b, "conv_kxk", x)?;
    b.conv("conv_1x1", y, dim, 1, 1, false)
}

/// Resizes a map up to the next size that the patch divides, if it does not divide it already.
///
/// # Errors
/// When `x` is no map, or the patch has no pixels.
pub(super) fn whole_patches(b: &mut Builder, x: Val, patch: u32, align_corners: bool) -> Result<Val, ShapeError> {
    let (h, w) = b.hw(x)?;
    if patch == 0 {
        return Err(b.fault("a patch of 0 pixels", "at least 1"));
    }
    let (up_h, up_w) = (h.next_multiple_of(patch), w.next_multiple_of(patch));
    if (up_h, up_w) == (h, w) { Ok(x) } else { b.op(Op::Resize { h: up_h, w: up_w, align_corners }, &[x]) }
}

/// Runs `layers` transformer layers over the patches of a map and folds them back to a map of the same size.
///
/// A map that the patch does not divide is resized up to the next multiple and back again.
///
/// # Errors
/// When `x` is no map, or a size does not fit.
pub(super) fn over_patches(b: &mut Builder, x: Val, patch: u32, layers: u32, l: &Layer) -> Result<Val, ShapeError> {
    let (h, w) = b.hw(x)?;
    let mut y = whole_patches(b, x, patch, false)?;
    let (up_h, up_w) = b.hw(y)?;
    y = b.op(Op::Unfold { patch, layout: Layout::Rows }, &[y])?;
    for i in 0..layers {
        y = b.within("transformer", |b| b.within(i, |b| transformer_layer(b, y, l)))?;
    }
    y = b.op_at("norm", Op::LayerNorm { eps_e7: l.eps_e7 }, &[y])?;
    y = b.op(Op::Fold { patch, layout: Layout::Rows, h: up_h, w: up_w }, &[y])?;
    if (up_h, up_w) == (h, w) { Ok(y) } else { b.op(Op::Resize { h, w, align_corners: false }, &[y]) }
}

/// The same with separable attention, over a map that the patch divides.
///
/// # Errors
/// When `x` is no such map, or a size does not fit.
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
    y = b.op_at("norm", Op::GroupNorm, &[y])?;
    b.op(Op::Fold { patch, layout: Layout::Map, h, w }, &[y])
}
