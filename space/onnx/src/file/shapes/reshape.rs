//! Operators that tell, make or change sizes.

use super::arithmetic::{broadcast, expanded};
use super::known::{Known, Op, axis, of_tensor};

pub(super) fn infer(name: &str, op: &Op) -> Option<Vec<Known>> {
    let one = match name {
        "Constant" => constant(op),
        "Shape" => {
            let dims = op.dims(0)?;
            let rank = dims.len() as i64;
            let end = |name: &str, default: i64| {
                let at = op.int(name, default);
                (if at < 0 { at + rank } else { at }).clamp(0, rank) as usize
            };
            let (start, end) = (end("start", 0), end("end", rank));
            let part: Vec<f64> = dims.get(start..end.max(start))?.iter().map(|d| *d as f64).collect();
            Some(Known::computed(vec![part.len() as i64], Some(part), true))
        }
        "Size" => Some(Known::computed(Vec::new(), Some(vec![op.input(0)?.elements() as f64]), true)),
        "ConstantOfShape" => {
            let value = op.attribute("value").and_then(|a| a.t.as_ref()).map(of_tensor);
            let (number, whole) = value.map_or((0.0, false), |v| (first(&v).unwrap_or(0.0), v.whole));
            let scalar = Known { dims: Vec::new(), numbers: Some(vec![number]), whole };
            let dims = op.ints(0)?;
            let numbers = expanded(&scalar, &dims);
            Some(Known::computed(dims, numbers, whole))
        }
        "Range" => {
            let number = |i| first(op.input(i)?);
            let (start, limit, step) = (number(0)?, number(1)?, number(2)?);
            let n = ((limit - start) / step).ceil().max(0.0);
            let few =
                (n <= super::known::MOST as f64).then(|| (0..n as usize).map(|i| start + i as f64 * step).collect());
            n.is_finite().then(|| Known::computed(vec![n as i64], few, op.input(0).is_some_and(|k| k.whole)))
        }
        "Expand" => {
            let input = op.input(0)?;
            let dims = broadcast(&input.dims, &op.ints(1)?)?;
            let numbers = expanded(input, &dims);
            Some(Known::computed(dims, numbers, input.whole))
        }
        "Reshape" => reshape(op),
        "Flatten" => {
            let dims = op.dims(0)?;
            let at = op.int("axis", 1);
            let at = (if at < 0 { at + dims.len() as i64 } else { at }).clamp(0, dims.len() as i64) as usize;
            Some(Known::sized(vec![dims[..at].iter().product(), dims[at..].iter().product()]))
        }
        "Squeeze" => {
            let input = op.input(0)?;
            let rank = input.dims.len();
            let axes = match op.list_or_input("axes", 1)? {
                Some(axes) => axes.iter().map(|a| axis(*a, rank)).collect::<Option<Vec<_>>>()?,
                None => (0..rank).filter(|i| input.dims[*i] == 1).collect(),
            };
            let kept = input.dims.iter().enumerate().filter(|(i, _)| !axes.contains(i)).map(|(_, d)| *d).collect();
            Some(Known { dims: kept, ..input.clone() })
        }
        "Unsqueeze" => {
            let input = op.input(0)?;
            let axes = op.list_or_input("axes", 1)??;
            let rank = input.dims.len() + axes.len();
            let axes = axes.iter().map(|a| axis(*a, rank)).collect::<Option<Vec<_>>>()?;
            let mut rest = input.dims.iter().copied();
            let dims = (0..rank).map(|i| if axes.contains(&i) { Some(1) } else { rest.next() });
            Some(Known { dims: dims.collect::<Option<_>>()?, ..input.clone() })
        }
        _ => None,
    };
    one.map(|k| vec![k])
}

fn first(of: &Known) -> Option<f64> {
    of.numbers.as_ref()?.first().copied()
}

fn constant(op: &Op) -> Option<Known> {
    let a = op.node.attribute.first()?;
    let list = |numbers: Vec<f64>, whole| Known::computed(vec![numbers.len() as i64], Some(numbers), whole);
    let scalar = |number: f64, whole| Known { dims: Vec::new(), numbers: Some(vec![number]), whole };
    match a.name.as_deref()? {
        "value" => a.t.as_ref().map(of_tensor),
        "value_int" => a.i.map(|v| scalar(v as f64, true)),
        "value_float" => a.f.map(|v| scalar(f64::from(v), false)),
        "value_ints" => Some(list(a.ints.iter().map(|v| *v as f64).collect(), true)),
        "value_floats" => Some(list(a.floats.iter().map(|v| f64::from(*v)).collect(), false)),
        _ => None,
    }
}

fn reshape(op: &Op) -> Option<Known> {
    let input = op.input(0)?;
    let wanted = op.list_or_input("shape", 1)??;
    let keep_zero = op.int("allowzero", 0) == 1;
    let size = |(i, d): (usize, &i64)| match *d {
        0 if !keep_zero => input.dims.get(i).copied(),
        d => Some(d),
    };
    let mut dims = wanted.iter().enumerate().map(size).collect::<Option<Vec<i64>>>()?;
    if let Some(open) = dims.iter().position(|d| *d == -1) {
        let rest = dims.iter().filter(|d| **d != -1).map(|d| d.unsigned_abs()).fold(1, u64::saturating_mul);
        dims[open] = i64::try_from(input.elements().checked_div(rest)?).ok()?;
    }
    Some(Known { dims, ..input.clone() })
}
