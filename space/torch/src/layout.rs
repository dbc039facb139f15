//! Operations that only move elements. A channels-last map stays channels-last, which is faster for what follows; a map in
//! planes (NCHW) stays in planes.

use mobilenas_space::ir::Layout;
use tch::{TchError, Tensor};

use crate::error::OpError;

type Out = Result<Tensor, OpError>;

/// Whether a map is channels-last in memory.
pub(crate) fn is_channels_last(x: &Tensor) -> bool {
    match (&x.size()[..], &x.stride()[..]) {
        ([_, c, h, w], [_, sc, ..]) => *sc == 1 || *c == 1 || h * w == 1,
        _ => false,
    }
}

/// The map in channels-last memory; itself if it is that already.
pub(crate) fn channels_last(x: &Tensor) -> Result<Tensor, TchError> {
    nhwc_to_map(&x.f_permute([0, 2, 3, 1])?.f_contiguous()?)
}

/// `[B, H, W, C]` viewed as a map `[B, C, H, W]`.
pub(crate) fn nhwc_to_map(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_permute([0, 3, 1, 2])
}

/// The sizes of a map.
pub(crate) fn map_size(x: &Tensor) -> Result<[i64; 4], OpError> {
    let size = x.size();
    size.as_slice().try_into().map_err(|_| OpError::Input(size))
}

pub(crate) fn unfold(x: &Tensor, patch: u32, layout: Layout) -> Out {
    let ([b, c, h, w], p) = (map_size(x)?, i64::from(patch));
    let (rows, cols) = (h / p, w / p);
    if is_channels_last(x) {
        let cells = x.f_permute([0, 2, 3, 1])?.f_reshape([b, rows, p, cols, p, c])?.f_permute([0, 2, 4, 1, 3, 5])?;
        let cells = cells.f_reshape([b, p * p, rows * cols, c])?;
        return Ok(if layout == Layout::Rows { cells } else { nhwc_to_map(&cells)? });
    }
    let cells = x.f_reshape([b, c, rows, p, cols, p])?;
    Ok(match layout {
        Layout::Rows => cells.f_permute([0, 3, 5, 2, 4, 1])?.f_reshape([b, p * p, rows * cols, c])?,
        Layout::Map => cells.f_permute([0, 1, 3, 5, 2, 4])?.f_reshape([b, c, p * p, rows * cols])?,
    })
}

/// The inverse of [`unfold`], to a map of `h` x `w` with `channels`.
pub(crate) fn fold(x: &Tensor, patch: u32, layout: Layout, [channels, h, w]: [u32; 3]) -> Out {
    let (b, [p, c, h, w]) = (x.size()[0], [patch, channels, h, w].map(i64::from));
    if layout == Layout::Map && !is_channels_last(x) {
        let cells = x.f_reshape([b, c, p, p, h / p, w / p])?.f_permute([0, 1, 4, 2, 5, 3])?;
        return Ok(cells.f_reshape([b, c, h, w])?);
    }
    let cells = if layout == Layout::Rows { x.shallow_clone() } else { x.f_permute([0, 2, 3, 1])? };
    let cells = cells.f_reshape([b, p, p, h / p, w / p, c])?.f_permute([0, 3, 1, 4, 2, 5])?;
    Ok(nhwc_to_map(&cells.f_reshape([b, h, w, c])?)?)
}

pub(crate) fn split_heads(x: &Tensor, heads: u32, transposed: bool) -> Out {
    let ([b, c, h, w], heads) = (map_size(x)?, i64::from(heads));
    let key = c / heads.max(1);
    if is_channels_last(x) {
        let split = x.f_permute([0, 2, 3, 1])?.f_reshape([b, h * w, heads, key])?;
        return Ok(split.f_permute(if transposed { [0, 2, 3, 1] } else { [0, 2, 1, 3] })?);
    }
    let split = x.f_reshape([b, heads, key, -1])?;
    Ok(if transposed { split } else { split.f_transpose(2, 3)? })
}

/// The inverse of [`split_heads`], to a map of `h` x `w` with `channels`.
pub(crate) fn merge_heads(x: &Tensor, [channels, h, w]: [u32; 3]) -> Out {
    let [c, h, w] = [channels, h, w].map(i64::from);
    Ok(nhwc_to_map(&x.f_permute([0, 2, 1, 3])?.f_reshape([x.size()[0], h, w, c])?)?)
}

/// Channels `start .. start + len` of each head, over rows.
pub(crate) fn slice_heads(x: &Tensor, heads: u32, start: u32, len: u32) -> Out {
    let runs = x.f_unflatten(-1, [i64::from(heads), -1])?;
    Ok(runs.f_narrow(-1, i64::from(start), i64::from(len))?.f_flatten(-2, -1)?)
}
