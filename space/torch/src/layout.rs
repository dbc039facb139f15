//! Operations that only move elements. A channels-last map stays channels-last, which is faster for what follows; a map in
//! planes (NCHW) stays in planes.

use mobilenas_space::ir::{FOURIER_CHANNELS, Layout};
use tch::{Kind, TchError, Tensor};

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

/// The channels of `groups` equal parts in turn.
pub(crate) fn shuffle(x: &Tensor, groups: u32) -> Out {
    let ([b, c, h, w], g) = (map_size(x)?, i64::from(groups));
    if is_channels_last(x) {
        let parts = x.f_permute([0, 2, 3, 1])?.f_reshape([b, h, w, g, c / g])?.f_transpose(3, 4)?;
        return Ok(nhwc_to_map(&parts.f_reshape([b, h, w, c])?)?);
    }
    Ok(x.f_reshape([b, g, c / g, h, w])?.f_transpose(1, 2)?.f_reshape([b, c, h, w])?)
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

/// The windows of a map as images, after zeros below and to the right.
pub(crate) fn windows(x: &Tensor, side: i64) -> Out {
    let [b, c, h, w] = map_size(x)?;
    let over = |size: i64| (side - size % side) % side;
    let (rows, cols) = ((h + over(h)) / side, (w + over(w)) / side);
    let x = if over(h) + over(w) > 0 { x.f_constant_pad_nd([0, over(w), 0, over(h)])? } else { x.shallow_clone() };
    let cells = x.f_permute([0, 2, 3, 1])?.f_reshape([b, rows, side, cols, side, c])?.f_transpose(2, 3)?;
    Ok(nhwc_to_map(&cells.f_reshape([b * rows * cols, side, side, c])?)?)
}

/// The inverse of [`windows`], to a map of `h` x `w`.
pub(crate) fn unwindow(x: &Tensor, [h, w]: [i64; 2]) -> Out {
    let [n, c, side, _] = map_size(x)?;
    let (rows, cols) = ((h + side - 1) / side, (w + side - 1) / side);
    let b = n / (rows * cols).max(1);
    let cells = x.f_permute([0, 2, 3, 1])?.f_reshape([b, rows, cols, side, side, c])?.f_transpose(2, 3)?;
    let whole = cells.f_reshape([b, rows * side, cols * side, c])?;
    // Contiguous again, for convolutions that read it.
    Ok(nhwc_to_map(&whole.f_narrow(1, 0, h)?.f_narrow(2, 0, w)?.f_contiguous()?)?)
}

/// Sines and cosines of the positions of a map, as `mobilenas_space::ir::fourier` gives them. In float32 whatever the
/// precision of the map, as the networks were trained.
pub(crate) fn fourier(x: &Tensor) -> Out {
    let [b, _, h, w] = map_size(x)?;
    let (half, options) = (i64::from(FOURIER_CHANNELS / 2), (Kind::Float, x.device()));
    let wave = Tensor::f_arange(half, options)?.f_div_scalar_mode(2, "floor")?.f_mul_scalar(2)?.f_div_scalar(half)?;
    let wave = Tensor::f_full([1], 10000.0, options)?.f_pow(&wave)?;
    let along = |size: i64| -> Result<Tensor, TchError> {
        let turns = Tensor::f_arange_start(1, size + 1, options)?;
        let last = turns.f_narrow(0, size - 1, 1)?.f_add_scalar(1e-6)?;
        let turns = turns.f_div(&last)?.f_mul_scalar(std::f64::consts::TAU)?.f_unsqueeze(1)?.f_div(&wave)?;
        let pairs = turns.f_reshape([size, half / 2, 2])?;
        let (even, odd) = (pairs.f_select(2, 0)?.f_sin()?, pairs.f_select(2, 1)?.f_cos()?);
        Tensor::f_stack(&[even, odd], 2)?.f_reshape([size, half])?.f_transpose(0, 1)
    };
    let (rows, columns) = (along(h)?.f_unsqueeze(2)?, along(w)?.f_unsqueeze(1)?);
    let map = Tensor::f_cat(&[rows.f_expand([half, h, w], false)?, columns.f_expand([half, h, w], false)?], 0)?;
    Ok(map.f_to_kind(x.kind())?.f_expand([b, 2 * half, h, w], false)?)
}

/// Offsets between the positions of a grid, as `mobilenas_space::ir::offsets` gives them, for each image of a batch. By
/// operations: a trace sees zeros where a tensor's values are copied in.
pub(crate) fn offsets(like: &Tensor, h: u32, w: u32, batch: i64) -> Out {
    let ([h, w], options) = ([h, w].map(i64::from), (like.kind(), like.device()));
    let rows = Tensor::f_arange(h, options)?.f_unsqueeze(1)?.f_expand([h, w], false)?.f_reshape([-1])?;
    let columns = Tensor::f_arange(w, options)?.f_unsqueeze(0)?.f_expand([h, w], false)?.f_reshape([-1])?;
    // A row for each query, a column for each key.
    let between = |at: &Tensor| at.f_unsqueeze(0)?.f_sub(&at.f_unsqueeze(1)?);
    let (dx, dy) = (between(&columns)?, between(&rows)?);
    let square = dx.f_mul(&dx)?.f_add(&dy.f_mul(&dy)?)?;
    let all = Tensor::f_stack(&[dx, dy, square], 2)?;
    Ok(all.f_view([1, -1, 3])?.f_expand([batch, -1, 3], false)?)
}

/// Rows `[B, h * w, C]` viewed as a map.
pub(crate) fn unflatten(x: &Tensor, h: u32, w: u32) -> Out {
    Ok(nhwc_to_map(&x.f_unflatten(1, [i64::from(h), i64::from(w)])?)?)
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
