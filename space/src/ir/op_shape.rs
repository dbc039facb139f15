//! The shape of each primitive operation's result, and what its inputs must be.

use std::fmt::Display;

use smallvec::smallvec;

use super::{Groups, Layout, Op, Sections, ShapeError, Value};

type Shape = Result<Value, ShapeError>;

/// The inputs of an operation under check.
struct Inputs<'a> {
    op: &'static str,
    values: &'a [&'a Value],
}

impl Op {
    /// The type of the operation's result.
    ///
    /// # Errors
    /// When a size, an axis or the number of inputs does not fit; the message says what was expected.
    pub fn out_value(&self, values: &[&Value]) -> Result<Value, ShapeError> {
        let ins = Inputs { op: self.name(), values };
        match self {
            Op::Input => Err(ins.bad("an operation", "the graph's own input")),
            Op::Conv { out, kernel, stride, pad, groups, bias: _ } => {
                let out = (*groups == Groups::Dense).then_some(out);
                ins.window(*kernel, *stride, *pad, out)
            }
            Op::AvgPool { kernel, stride, pad } => ins.window(*kernel, *stride, *pad, None),
            Op::Resize { h, w, align_corners: _ } => ins.map().map(|(x, ..)| Value::map(x.sections.clone(), *h, *w)),
            Op::BatchNorm
            | Op::Act(_)
            | Op::Dropout { .. }
            | Op::DropPath { .. }
            | Op::ChannelScale { .. }
            | Op::Softmax
            | Op::InvSqrt { .. } => ins.one().cloned(),
            Op::GroupNorm => ins.map().map(|(x, ..)| x.clone()),
            Op::LayerNorm { .. } => ins.rows().cloned(),
            Op::Linear { out, bias: _ } => ins.rows().map(|x| Value::rows(&x.dims[..x.axis], out.clone())),
            Op::Unfold { patch, layout } => ins.unfold(*patch, *layout),
            Op::Fold { patch, layout, h, w } => ins.fold(*patch, *layout, *h, *w),
            Op::Flatten => ins.map().map(|(x, h, w)| Value::rows(&[h * w], x.sections.clone())),
            Op::GlobalPool { keep: true } => ins.one().map(|x| Value::map(x.sections.clone(), 1, 1)),
            Op::GlobalPool { keep: false } => ins.one().map(|x| Value::rows(&[], x.sections.clone())),
            Op::Slice { start, len } => ins.slice(self, |x| x.sections.piece(*start, *len)),
            Op::SliceHeads { heads, start, len } => ins.slice(self, |x| {
                let run = x.channels() / (*heads).max(1);
                let fits = run * heads == x.channels() && *len > 0 && start + len <= run;
                fits.then(|| Sections::runs(*heads, *len))
            }),
            Op::Concat => ins.concat(),
            Op::ConcatRows => ins.concat_rows(),
            Op::Row { index } => ins.row(*index),
            Op::Add | Op::Sub | Op::Mean | Op::Mul => ins.broadcast(),
            Op::SumWidth => ins.map().map(|(x, h, _)| Value::map(x.sections.clone(), h, 1)),
            Op::Attention { heads, key_dim } => ins.attention(*heads, *key_dim),
            Op::SplitHeads { heads, transposed } => ins.split_heads(*heads, *transposed),
            Op::MergeHeads { h, w } => ins.merge_heads(*h, *w),
            Op::MatMul => ins.mat_mul(),
            Op::BiasTable { heads, h, w, stride, index: _ } => {
                let queries = h.div_ceil(*stride) * w.div_ceil(*stride);
                Ok(Value { dims: smallvec![*heads, queries, h * w], axis: 0, sections: Sections::runs(*heads, 1) })
            }
            Op::Learnt { rows, channels } => Ok(Value::rows(&[*rows], Sections::plain(*channels))),
        }
    }
}

/// Output size of a window that slides over `size` positions.
fn windows(size: u32, kernel: u32, stride: u32, pad: u32) -> Option<u32> {
    (size + 2 * pad).checked_sub(kernel).filter(|_| stride > 0).map(|room| room / stride + 1)
}

impl<'a> Inputs<'a> {
    fn bad(&self, found: impl Display, expected: impl Into<String>) -> ShapeError {
        ShapeError::new(self.op, found.to_string(), expected)
    }

    fn count(&self, expected: &str) -> ShapeError {
        self.bad(format!("{} inputs", self.values.len()), expected)
    }

    fn one(&self) -> Result<&'a Value, ShapeError> {
        match self.values {
            [x] => Ok(x),
            _ => Err(self.count("1")),
        }
    }

    fn two(&self) -> Result<[&'a Value; 2], ShapeError> {
        match self.values {
            [a, b] => Ok([a, b]),
            _ => Err(self.count("2")),
        }
    }

    /// A map with its height and width.
    fn map(&self) -> Result<(&'a Value, u32, u32), ShapeError> {
        let x = self.one()?;
        let (h, w) = x.hw().ok_or_else(|| self.bad(x, "a map CxHxW"))?;
        Ok((x, h, w))
    }

    fn rows(&self) -> Result<&'a Value, ShapeError> {
        let x = self.one()?;
        if x.axis + 1 == x.dims.len() { Ok(x) } else { Err(self.bad(x, "rows with channels last")) }
    }

    /// A window that slides over a map, to the channels `out` or to those of its input.
    fn window(&self, kernel: u32, stride: u32, pad: u32, out: Option<&Sections>) -> Shape {
        let (x, h, w) = self.map()?;
        let sections = out.unwrap_or(&x.sections).clone();
        let size = |s| windows(s, kernel, stride, pad);
        match (size(h), size(w), sections.total()) {
            (Some(h), Some(w), 1..) => Ok(Value::map(sections, h, w)),
            _ => Err(self.bad(x, format!("a map that a {kernel}x{kernel} window fits into, and channels"))),
        }
    }

    fn unfold(&self, patch: u32, layout: Layout) -> Shape {
        let (x, h, w) = self.map()?;
        if patch == 0 || h % patch != 0 || w % patch != 0 {
            return Err(self.bad(x, format!("a map whose sides are multiples of {patch}")));
        }
        let (p, n) = (patch * patch, (h / patch) * (w / patch));
        Ok(match layout {
            Layout::Rows => Value::rows(&[p, n], x.sections.clone()),
            Layout::Map => Value::map(x.sections.clone(), p, n),
        })
    }

    fn fold(&self, patch: u32, layout: Layout, h: u32, w: u32) -> Shape {
        let x = self.one()?;
        let (p, n) = (patch * patch, (h / patch.max(1)) * (w / patch.max(1)));
        let fits = match layout {
            Layout::Rows => x.axis == 2 && x.dims[..2] == [p, n],
            Layout::Map => x.axis == 0 && x.dims[1..] == [p, n],
        };
        if fits { Ok(Value::map(x.sections.clone(), h, w)) } else { Err(self.bad(x, format!("{n} patches of {p}"))) }
    }

    fn slice(&self, op: &Op, sections: impl FnOnce(&Value) -> Option<Sections>) -> Shape {
        let x = self.one()?;
        let sections = sections(x);
        let sections = sections
            .ok_or_else(|| self.bad(format!("{op:?} of {x}"), "a range that ends where sections or their runs end"))?;
        let mut dims = x.dims.clone();
        dims[x.axis] = sections.total();
        Ok(Value { dims, axis: x.axis, sections })
    }

    fn first(&self) -> Result<(&'a Value, &'a [&'a Value]), ShapeError> {
        self.values.split_first().map(|(x, rest)| (*x, rest)).ok_or_else(|| self.bad("no input", "at least one"))
    }

    fn concat(&self) -> Shape {
        let (first, rest) = self.first()?;
        let mut out = first.clone();
        for x in rest {
            let mut like = x.dims.clone();
            like[x.axis] = first.channels();
            if x.axis != first.axis || like != first.dims {
                return Err(self.bad(x, format!("the size of {first}, apart from the channels")));
            }
            out.sections = out.sections.join(&x.sections);
        }
        out.dims[first.axis] = out.sections.total();
        Ok(out)
    }

    fn concat_rows(&self) -> Shape {
        let (first, rest) = self.first()?;
        let mut out = first.clone();
        for x in rest {
            if x.axis == 0 || x.axis != first.axis || x.channels() != first.channels() {
                return Err(self.bad(x, format!("rows as wide as {first}")));
            }
            out.dims[first.axis - 1] += x.dims[first.axis - 1];
        }
        Ok(out)
    }

    fn row(&self, index: u32) -> Shape {
        let x = self.first()?.0;
        let [rows, _] = x.dims[..] else { return Err(self.bad(x, "rows NxC")) };
        if index >= rows {
            return Err(self.bad(format!("row {index} of {x}"), "a row within it"));
        }
        Ok(Value::rows(&[], x.sections.clone()))
    }

    /// Sizes are equal, or one of them is 1.
    fn broadcast(&self) -> Shape {
        let [a, b] = self.two()?;
        let fits = a.dims.len() == b.dims.len()
            && a.axis == b.axis
            && a.dims.iter().zip(&b.dims).all(|(x, y)| x == y || *x == 1 || *y == 1);
        if !fits {
            return Err(self.bad(format!("{a} and {b}"), "sizes that are equal or 1"));
        }
        let mut out = if a.channels() >= b.channels() { a.clone() } else { b.clone() };
        for (o, (x, y)) in out.dims.iter_mut().zip(a.dims.iter().zip(&b.dims)) {
            *o = *x.max(y);
        }
        Ok(out)
    }

    fn attention(&self, heads: u32, key_dim: u32) -> Shape {
        let [q, k, v, bias @ ..] = self.values else { return Err(self.count("3, or 4 with a bias")) };
        let rows = |x: &Value| x.dims[x.axis.saturating_sub(1)];
        let fits = q.channels() == heads * key_dim
            && k.channels() == q.channels()
            && v.channels() % heads == 0
            && rows(k) == rows(v)
            && q.axis == v.axis
            && q.axis >= 1
            && bias.iter().all(|b| b.dims[..] == [heads, rows(q), rows(k)]);
        if fits {
            return Ok(Value::rows(&q.dims[..q.axis], v.sections.clone()));
        }
        Err(self.bad(format!("q {q}, k {k}, v {v}"), format!("{heads} heads of {key_dim}")))
    }

    fn split_heads(&self, heads: u32, transposed: bool) -> Shape {
        let (x, h, w) = self.map()?;
        let (n, d) = (h * w, x.channels() / heads.max(1));
        if d * heads != x.channels() {
            return Err(self.bad(x, format!("a multiple of {heads} channels")));
        }
        let dims = if transposed { smallvec![heads, d, n] } else { smallvec![heads, n, d] };
        Ok(Value { dims, axis: 0, sections: Sections::runs(heads, 1) })
    }

    fn merge_heads(&self, h: u32, w: u32) -> Shape {
        let x = self.one()?;
        match x.dims[..] {
            [heads, n, d] if n == h * w => Ok(Value::map(Sections::runs(heads, d), h, w)),
            _ => Err(self.bad(x, format!("heads of {} rows", h * w))),
        }
    }

    fn mat_mul(&self) -> Shape {
        let [a, b] = self.two()?;
        match (&a.dims[..], &b.dims[..]) {
            (&[h, n, k], &[h2, k2, m]) if h == h2 && k == k2 => {
                Ok(Value { dims: smallvec![h, n, m], axis: 0, sections: Sections::runs(h, 1) })
            }
            _ => Err(self.bad(format!("{a} and {b}"), "matrices whose inner sizes match")),
        }
    }
}
