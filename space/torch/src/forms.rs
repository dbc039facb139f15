//! Operations that only move numbers. A map whose channels lie together in memory keeps them so, since what follows is faster
//! for it; one whose positions do keeps those.

use mobilenas_space::ir::{Layout, Op, Value};
use tch::{TchError, Tensor};

type Out = Result<Tensor, TchError>;

/// Whether a map's channels lie together in memory.
pub(crate) fn channels_last(x: &Tensor) -> bool {
    match (&x.size()[..], &x.stride()[..]) {
        ([_, c, h, w], [_, sc, ..]) => *sc == 1 || *c == 1 || h * w == 1,
        _ => false,
    }
}

/// A map with its channels together in memory; as it is if they are already.
pub(crate) fn together(x: &Tensor) -> Out {
    x.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}

/// Rows of channels `[B, H, W, C]` as a map.
pub(crate) fn map_of(rows: &Tensor) -> Out {
    rows.f_permute([0, 3, 1, 2])
}

pub(crate) fn misfit(x: &Tensor) -> TchError {
    TchError::Shape(format!("{:?}, which the operation does not take", x.size()))
}

/// Runs such an operation. `value` is what it makes.
pub(crate) fn moved(op: &Op, value: &Value, x: &Tensor) -> Out {
    match op {
        Op::Unfold { .. } | Op::SplitHeads { .. } if channels_last(x) => cut(op, x),
        Op::Unfold { .. } | Op::SplitHeads { .. } => cut_planes(op, x),
        Op::Fold { layout: Layout::Map, .. } if !channels_last(x) => join_planes(op, value, x),
        Op::Fold { .. } | Op::MergeHeads { .. } => join(op, value, x),
        Op::Flatten => x.f_flatten(2, 3)?.f_transpose(1, 2),
        Op::SliceHeads { heads, start, len } => {
            let runs = x.f_unflatten(-1, [i64::from(*heads), -1])?;
            runs.f_narrow(-1, i64::from(*start), i64::from(*len))?.f_flatten(-2, -1)
        }
        _ => Err(misfit(x)),
    }
}

fn cut(op: &Op, x: &Tensor) -> Out {
    let &[b, c, h, w] = &x.size()[..] else { return Err(misfit(x)) };
    let rows = x.f_permute([0, 2, 3, 1])?;
    match *op {
        Op::Unfold { patch, layout } => {
            let p = i64::from(patch);
            let cells = rows.f_reshape([b, h / p, p, w / p, p, c])?.f_permute([0, 2, 4, 1, 3, 5])?;
            let cells = cells.f_reshape([b, p * p, (h / p) * (w / p), c])?;
            if layout == Layout::Rows { Ok(cells) } else { map_of(&cells) }
        }
        Op::SplitHeads { heads, transposed } => {
            let heads = i64::from(heads);
            let split = rows.f_reshape([b, h * w, heads, c / heads.max(1)])?;
            split.f_permute(if transposed { [0, 2, 3, 1] } else { [0, 2, 1, 3] })
        }
        _ => Err(misfit(x)),
    }
}

fn cut_planes(op: &Op, x: &Tensor) -> Out {
    let &[b, c, h, w] = &x.size()[..] else { return Err(misfit(x)) };
    match *op {
        Op::Unfold { patch, layout } => {
            let p = i64::from(patch);
            let (rows, cols) = (h / p, w / p);
            let cells = x.f_reshape([b, c, rows, p, cols, p])?;
            match layout {
                Layout::Rows => cells.f_permute([0, 3, 5, 2, 4, 1])?.f_reshape([b, p * p, rows * cols, c]),
                Layout::Map => cells.f_permute([0, 1, 3, 5, 2, 4])?.f_reshape([b, c, p * p, rows * cols]),
            }
        }
        Op::SplitHeads { heads, transposed } => {
            let heads = i64::from(heads);
            let split = x.f_reshape([b, heads, c / heads.max(1), -1])?;
            if transposed { Ok(split) } else { split.f_transpose(2, 3) }
        }
        _ => Err(misfit(x)),
    }
}

fn join(op: &Op, value: &Value, x: &Tensor) -> Out {
    let (b, c) = (x.size()[0], i64::from(value.channels()));
    match *op {
        Op::Fold { patch, layout, h, w } => {
            let (p, h, w) = (i64::from(patch), i64::from(h), i64::from(w));
            let cells = if layout == Layout::Rows { x.shallow_clone() } else { x.f_permute([0, 2, 3, 1])? };
            let cells = cells.f_reshape([b, p, p, h / p, w / p, c])?.f_permute([0, 3, 1, 4, 2, 5])?;
            map_of(&cells.f_reshape([b, h, w, c])?)
        }
        Op::MergeHeads { h, w } => {
            let rows = x.f_permute([0, 2, 1, 3])?;
            map_of(&rows.f_reshape([b, i64::from(h), i64::from(w), c])?)
        }
        _ => Err(misfit(x)),
    }
}

fn join_planes(op: &Op, value: &Value, x: &Tensor) -> Out {
    let Op::Fold { patch, h, w, .. } = *op else { return Err(misfit(x)) };
    let (b, c) = (x.size()[0], i64::from(value.channels()));
    let (p, h, w) = (i64::from(patch), i64::from(h), i64::from(w));
    let cells = x.f_reshape([b, c, p, p, h / p, w / p])?.f_permute([0, 1, 4, 2, 5, 3])?;
    cells.f_reshape([b, c, h, w])
}
