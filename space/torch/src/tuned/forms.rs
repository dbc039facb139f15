//! Operations that only move numbers, written for maps whose channels lie together in memory: what follows finds them so.

use mobilenas_space::ir::{Layout, Op, Value};
use tch::{TchError, Tensor};

use super::candidate::Out;

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

/// The operation, if there is a form of it for such maps. `value` is what it makes.
pub(crate) fn moved(op: &Op, value: &Value, x: &Tensor) -> Option<Out> {
    let form: fn(&Op, &Value, &Tensor) -> Out = match op {
        Op::Unfold { .. } | Op::SplitHeads { .. } if channels_last(x) => cut,
        Op::Fold { layout: Layout::Map, .. } if channels_last(x) => join,
        Op::Fold { layout: Layout::Rows, .. } | Op::MergeHeads { .. } => join,
        _ => return None,
    };
    Some(form(op, value, x))
}

fn cut(op: &Op, _: &Value, x: &Tensor) -> Out {
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
            let split = rows.f_reshape([b, h * w, heads, c / heads])?;
            split.f_permute(if transposed { [0, 2, 3, 1] } else { [0, 2, 1, 3] })
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

pub(crate) fn misfit(x: &Tensor) -> TchError {
    TchError::Shape(format!("{:?}, which the step does not take", x.size()))
}
