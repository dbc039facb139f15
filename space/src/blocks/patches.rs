//! Global part of MobileViT v1 and v3: attention among the pixels that stand at the same place of all patches.

use super::transformer::{Layer, transformer_layer};
use crate::ir::{Builder, Layout, Op, ShapeError, Val};

/// Runs `layers` transformer layers over the patches of a map and folds them back to a map of the same size.
///
/// A map that the patch does not divide is resized up to the next multiple and back again.
///
/// # Errors
/// When `x` is no map, or a size does not fit.
pub(super) fn over_patches(b: &mut Builder, x: Val, patch: u32, layers: u32, l: &Layer) -> Result<Val, ShapeError> {
    let (h, w) = b.hw(x)?;
    if patch == 0 {
        return Err(b.fault("a patch of 0 pixels", "at least 1"));
    }
    let (up_h, up_w) = (h.next_multiple_of(patch), w.next_multiple_of(patch));
    let fits = (up_h, up_w) == (h, w);
    let resize = |h, w| Op::Resize { h, w, align_corners: false };
    let mut y = if fits { x } else { b.op(resize(up_h, up_w), &[x])? };
    y = b.op(Op::Unfold { patch, layout: Layout::Rows }, &[y])?;
    for i in 0..layers {
        y = b.within("transformer", |b| b.within(i, |b| transformer_layer(b, y, l)))?;
    }
    y = b.op_at("norm", Op::LayerNorm { eps_e7: l.eps_e7 }, &[y])?;
    y = b.op(Op::Fold { patch, layout: Layout::Rows, h: up_h, w: up_w }, &[y])?;
    if fits { Ok(y) } else { b.op(resize(h, w), &[y]) }
}
