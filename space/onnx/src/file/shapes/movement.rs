//! Operators that move values without computing: sizes, and the numbers of small ones.

use super::known::{Known, Op, axis};

pub(super) fn infer(name: &str, op: &Op) -> Option<Vec<Known>> {
    let one = match name {
        "Transpose" => {
            let dims = op.dims(0)?;
            let reversed: Vec<i64> = (0..dims.len() as i64).rev().collect();
            let order = op.list("perm").unwrap_or(&reversed);
            let of = |i: &i64| dims.get(usize::try_from(*i).ok()?).copied();
            let moved = order.iter().map(of).collect::<Option<Vec<i64>>>()?;
            let input = op.input(0)?;
            let numbers = rearranged(input, &moved, |to| {
                let mut from = vec![0; to.len()];
                order.iter().zip(to).for_each(|(i, at)| from[*i as usize] = *at);
                from
            });
            Some(Known::computed(moved, numbers, input.whole))
        }
        "Concat" => concat(op, op.inputs.iter().copied().collect::<Option<Vec<_>>>()?),
        // After the scale and the zero point of the result, each input is followed by its own.
        "QLinearConcat" => concat(op, op.inputs.iter().skip(2).step_by(3).copied().collect::<Option<Vec<_>>>()?),
        "Split" => return split(op),
        "Slice" => slice(op),
        "Gather" => gather(op),
        "GatherElements" => Some(Known::sized(op.dims(1)?.to_vec())),
        "GatherND" => {
            let (data, indices) = (op.dims(0)?, op.dims(1)?);
            let (last, before) = indices.split_last()?;
            let from = usize::try_from(op.int("batch_dims", 0) + last).ok()?;
            Some(Known::sized([before, data.get(from..)?].concat()))
        }
        "Pad" => {
            let dims = op.dims(0)?;
            let pads = op.list_or_input("pads", 1)??;
            let rank = dims.len();
            let axes = match op.ints(3).filter(|_| op.has(3)) {
                Some(axes) => axes.iter().map(|a| axis(*a, rank)).collect::<Option<Vec<_>>>()?,
                None if op.has(3) => return None,
                None => (0..rank).collect(),
            };
            let mut padded = dims.to_vec();
            for (i, at) in axes.iter().enumerate() {
                padded[*at] += pads.get(i)? + pads.get(i + axes.len())?;
            }
            Some(Known::sized(padded))
        }
        "Tile" => {
            let times = op.ints(1)?;
            Some(Known::sized(op.dims(0)?.iter().zip(&times).map(|(d, t)| d * t).collect()))
        }
        "TopK" => {
            let dims = op.dims(0)?;
            let at = axis(op.int("axis", -1), dims.len())?;
            let k = op.list_or_input("k", 1)?.and_then(|k| k.first().copied()).or_else(|| op.attribute("k")?.i)?;
            let mut kept = dims.to_vec();
            kept[at] = k;
            return Some(vec![Known::sized(kept.clone()), Known::sized(kept)]);
        }
        "OneHot" => {
            let dims = op.dims(0)?;
            let depth = op.ints(1)?.first().copied()?;
            let at = axis(op.int("axis", -1), dims.len() + 1)?;
            let mut dims = dims.to_vec();
            dims.insert(at, depth);
            Some(Known::sized(dims))
        }
        "DepthToSpace" | "SpaceToDepth" => {
            let ([n, c, h, w], b) = (op.dims(0)?, op.int("blocksize", 1).max(1)) else { return None };
            Some(Known::sized(match name {
                "DepthToSpace" => vec![*n, c / (b * b), h * b, w * b],
                _ => vec![*n, c.checked_mul(b * b)?, h / b, w / b],
            }))
        }
        _ => None,
    };
    one.map(|k| vec![k])
}

/// The numbers of a value in other places: `source` gives the index in it for an index in the result.
fn rearranged(of: &Known, to: &[i64], source: impl Fn(&[i64]) -> Vec<i64>) -> Option<Vec<f64>> {
    let numbers = of.numbers.as_ref()?;
    let total = to.iter().try_fold(1usize, |n, d| n.checked_mul(usize::try_from(*d).ok()?))?;
    if total > super::known::MOST {
        return None;
    }
    let read = |flat: usize| {
        let (mut rest, mut index) = (flat as i64, vec![0; to.len()]);
        for (at, size) in index.iter_mut().zip(to).rev() {
            (*at, rest) = (rest % size, rest / size);
        }
        let row_major = source(&index).into_iter().zip(&of.dims).fold(0, |flat, (at, size)| flat * size + at);
        numbers.get(usize::try_from(row_major).ok()?).copied()
    };
    (0..total).map(read).collect()
}

fn concat(op: &Op, all: Vec<&Known>) -> Option<Known> {
    let mut dims = all.first()?.dims.clone();
    let at = axis(op.int("axis", 1), dims.len())?;
    dims[at] = all.iter().map(|k| k.dims.get(at).copied()).sum::<Option<i64>>()?;
    let numbers = if dims.len() == 1 {
        all.iter().map(|k| k.numbers.clone()).collect::<Option<Vec<_>>>().map(|n| n.concat())
    } else {
        None
    };
    Some(Known::computed(dims, numbers, all.iter().all(|k| k.whole)))
}

fn split(op: &Op) -> Option<Vec<Known>> {
    let input = op.input(0)?;
    let at = axis(op.int("axis", 0), input.dims.len())?;
    let n = op.node.output.len() as i64;
    let parts = match op.list_or_input("split", 1)? {
        Some(parts) => parts,
        None => {
            let size = (input.dims[at] + n - 1) / n;
            (0..n).map(|i| size.min(input.dims[at] - i * size)).collect()
        }
    };
    let mut from = 0;
    let part = |size: i64| {
        let mut dims = input.dims.clone();
        dims[at] = size;
        let numbers = input.numbers.as_ref().filter(|_| dims.len() == 1);
        let own = numbers.and_then(|all| all.get(from as usize..(from + size) as usize)).map(<[f64]>::to_vec);
        from += size;
        Known::computed(dims, own, input.whole)
    };
    Some(parts.into_iter().map(part).collect())
}

fn slice(op: &Op) -> Option<Known> {
    let input = op.input(0)?;
    let rank = input.dims.len();
    let (starts, ends) = (op.list_or_input("starts", 1)??, op.list_or_input("ends", 2)??);
    let axes = op.list_or_input("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = op.list_or_input("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    let (mut dims, mut from) = (input.dims.clone(), vec![(0, 1); rank]);
    for (i, start) in starts.iter().enumerate() {
        let at = axis(*axes.get(i)?, rank)?;
        let (size, step) = (dims[at], *steps.get(i)?);
        if step == 0 {
            return None;
        }
        if size == 0 {
            continue;
        }
        let from_front = |v: i64| if v < 0 { v.saturating_add(size) } else { v };
        let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
        let start = from_front(*start).clamp(low.max(0), high);
        let end = from_front(*ends.get(i)?).clamp(low, high);
        let n = (end - start + step - step.signum()).checked_div(step)?.max(0);
        dims[at] = n;
        from[at] = (start, step);
    }
    let numbers =
        rearranged(input, &dims, |to| to.iter().zip(&from).map(|(k, (start, step))| start + k * step).collect());
    Some(Known::computed(dims, numbers, input.whole))
}

fn gather(op: &Op) -> Option<Known> {
    let (data, indices) = (op.input(0)?, op.input(1)?);
    let at = axis(op.int("axis", 0), data.dims.len())?;
    let dims = [&data.dims[..at], &indices.dims, &data.dims[at + 1..]].concat();
    let numbers = data.numbers.as_ref().zip(indices.numbers.as_ref()).filter(|_| data.dims.len() == 1);
    let read = |(all, at): (&Vec<f64>, &Vec<f64>)| {
        let one = |i: &f64| all.get(if *i < 0.0 { (*i + all.len() as f64) as usize } else { *i as usize }).copied();
        at.iter().map(one).collect()
    };
    Some(Known::computed(dims, numbers.and_then(read), data.whole))
}
