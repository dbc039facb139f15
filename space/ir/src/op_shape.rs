//! The shape of each primitive operation's result, and what its inputs must be.

use std::fmt::Display;

use super::{FOURIER_CHANNELS, Groups, Layout, Op, Section, Sections, ShapeError, Value};

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
        let mut out = self.shape(values)?;
        // Cut maps stay cut.
        if !matches!(self, Op::Windows { .. } | Op::Unwindow { .. } | Op::Regions { .. }) {
            out.windows = values.iter().map(|v| v.windows).max().unwrap_or(1);
        }
        Ok(out)
    }

    fn shape(&self, values: &[&Value]) -> Shape {
        let ins = Inputs { op: self.name(), values };
        match self {
            Op::Input => Err(ins.bad("an operation", "the graph's own input")),
            Op::Conv { out, kernel, stride, pad, dilation, groups, bias: _ } => {
                let out = ins.conv_channels(out, *groups)?;
                let reach = kernel.saturating_sub(1).saturating_mul(*dilation).saturating_add((*kernel).min(1));
                ins.window(groups.pair(reach, 1), *stride, groups.pair(*pad, 0), Some(out))
            }
            Op::AvgPool { kernel, stride, pad } | Op::MaxPool { kernel, stride, pad } => {
                ins.window([*kernel; 2], *stride, [*pad; 2], None)
            }
            Op::Resize { h, w, align_corners: _ } | Op::ResizeNearest { h, w } | Op::ResizeCubic { h, w } => {
                ins.map().map(|(x, ..)| Value::map(x.sections.clone(), *h, *w))
            }
            Op::Shuffle { groups } => ins.shuffle(*groups),
            Op::AdaptiveAvgPool { h, w } => ins.adaptive(*h, *w),
            Op::Unflatten { h, w } => ins.unflatten(*h, *w),
            Op::SplitRows { parts } => ins.split_rows(*parts),
            Op::BatchNorm
            | Op::Act(_)
            | Op::Dropout { .. }
            | Op::DropPath { .. }
            | Op::ChannelScale { .. }
            | Op::Softmax
            | Op::L2Norm
            | Op::InvSqrt { .. } => ins.one().cloned(),
            Op::GroupNorm { .. } => ins.map().map(|(x, ..)| x.clone()),
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
            Op::Rows { start, len } => ins.rows_of(*start, *len),
            Op::Add | Op::Sub | Op::Mean | Op::Mul => ins.broadcast(),
            Op::SumWidth => ins.map().map(|(x, h, _)| Value::map(x.sections.clone(), h, 1)),
            Op::Attention { heads, key_dim } => ins.attention(*heads, *key_dim),
            Op::LinearAttention { heads, key_dim } => match values.len() {
                3 => ins.attention(*heads, *key_dim),
                _ => Err(ins.count("3")),
            },
            Op::SplitHeads { heads, transposed } => ins.split_heads(*heads, *transposed),
            Op::MergeHeads { h, w, transposed } => ins.merge_heads(*h, *w, *transposed),
            Op::MatMul => ins.mat_mul(),
            Op::BiasTable { heads, h, w, stride, index: _ } => {
                let queries = h.div_ceil(*stride) * w.div_ceil(*stride);
                Ok(Value::heads(*heads, queries, h * w))
            }
            Op::Learnt { value, .. } => Ok(value.clone()),
            Op::Fourier => ins.map().map(|(_, h, w)| Value::map(Sections::plain(FOURIER_CHANNELS), h, w)),
            Op::Offsets { h, w } => ins.one().map(|_| Value::rows(&[h * w * h * w], Sections::plain(3))),
            Op::RelativeLogits { heads } => {
                ins.split_heads(*heads, false).map(|q| Value::heads(*heads, q.dims[1], q.dims[1]))
            }
            Op::Windows { side } => ins.windows(*side),
            Op::Unwindow { h, w } => ins.unwindow(*h, *w),
            Op::Vector => ins.map().map(|(x, h, w)| Value::rows(&[], vector(&x.sections, h * w))),
            Op::ConvTranspose { out, kernel, bias: _ } => match (ins.map()?, out.total().min(*kernel)) {
                ((x, ..), 0) => Err(ins.bad(x, "channels and a kernel")),
                ((_, h, w), _) => Ok(Value::map(out.clone(), kernel * h, kernel * w)),
            },
            Op::Regions { count, side, stride: _ } => ins.regions(*count, *side),
        }
    }
}

/// Each channel of a map as a run of its positions.
fn vector(channels: &Sections, positions: u32) -> Sections {
    Sections(channels.0.iter().map(|s| Section { count: s.count * s.len, len: positions }).collect())
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

    /// The output channels of a convolution: those of its input, if each has one.
    fn conv_channels<'b>(&self, out: &'b Sections, groups: Groups) -> Result<&'b Sections, ShapeError>
    where
        'a: 'b,
    {
        let x = self.one()?;
        match groups {
            Groups::Dense => Ok(out),
            Groups::Depthwise | Groups::DepthwiseRow | Groups::DepthwiseColumn if out.total() == x.channels() => {
                Ok(&x.sections)
            }
            Groups::Depthwise | Groups::DepthwiseRow | Groups::DepthwiseColumn => {
                let fits = out.total() > x.channels() && out.total().is_multiple_of(x.channels());
                fits.then_some(out).ok_or_else(|| self.bad(x, format!("a divisor of {} channels", out.total())))
            }
            Groups::Grouped(n) => {
                let fits = n > 0 && out.total().is_multiple_of(n) && x.channels().is_multiple_of(n);
                fits.then_some(out).ok_or_else(|| self.bad(x, format!("a multiple of {n} channels")))
            }
        }
    }

    /// A window that slides over a map, to the channels `out` or to those of its input.
    fn window(&self, kernel: [u32; 2], stride: u32, pad: [u32; 2], out: Option<&Sections>) -> Shape {
        let (x, h, w) = self.map()?;
        let sections = out.unwrap_or(&x.sections).clone();
        let size = |s, i: usize| windows(s, kernel[i], stride, pad[i]);
        match (size(h, 0), size(w, 1), sections.total()) {
            (Some(h), Some(w), 1..) => Ok(Value::map(sections, h, w)),
            _ => Err(self.bad(x, format!("a map that a {}x{} window fits into, and channels", kernel[0], kernel[1]))),
        }
    }

    /// A mean needs at least one pixel, so no side grows.
    fn adaptive(&self, to_h: u32, to_w: u32) -> Shape {
        let (x, h, w) = self.map()?;
        match (1..=h).contains(&to_h) && (1..=w).contains(&to_w) {
            true => Ok(Value::map(x.sections.clone(), to_h, to_w)),
            false => Err(self.bad(x, format!("a map of at least {to_h}x{to_w} pixels"))),
        }
    }

    fn unflatten(&self, h: u32, w: u32) -> Shape {
        let x = self.rows()?;
        match x.dims[..] {
            [n, _] if n == h * w => Ok(Value::map(x.sections.clone(), h, w)),
            _ => Err(self.bad(x, format!("{} rows", h * w))),
        }
    }

    /// The sections of a part are those of the first one.
    fn split_rows(&self, parts: u32) -> Shape {
        let x = self.rows()?;
        let len = x.channels() / parts.max(1);
        let first = x.sections.piece(0, len).filter(|_| len > 0 && len * parts == x.channels());
        match (first, &x.dims[..]) {
            (Some(sections), [n, _]) => Ok(Value::rows(&[n * parts], sections)),
            _ => Err(self.bad(x, format!("rows of {parts} equal parts"))),
        }
    }

    /// Channels in turn are runs of one channel of each group: a narrower network has the leading runs.
    fn shuffle(&self, groups: u32) -> Shape {
        let (x, h, w) = self.map()?;
        let each = x.channels() / groups.max(1);
        if each == 0 || each * groups != x.channels() {
            return Err(self.bad(x, format!("channels that are a multiple of {groups}")));
        }
        Ok(Value::map(Sections::runs(each, groups), h, w))
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
        Ok(Value { dims, sections, ..x.clone() })
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
        let ([rows, _] | [1, rows, _]) = x.dims[..] else { return Err(self.bad(x, "rows NxC")) };
        if index >= rows {
            return Err(self.bad(format!("row {index} of {x}"), "a row within it"));
        }
        Ok(Value::rows(&[], x.sections.clone()))
    }

    fn rows_of(&self, start: u32, len: u32) -> Shape {
        let x = self.first()?.0;
        let rows = if x.axis > 0 { x.dims[x.axis - 1] } else { 0 };
        if len == 0 || start + len > rows {
            return Err(self.bad(format!("rows {start} to {} of {x}", start + len), "rows within it"));
        }
        let mut out = x.clone();
        out.dims[x.axis - 1] = len;
        Ok(out)
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

    /// Features of regions, of maps of equal channels.
    fn regions(&self, count: u32, side: u32) -> Shape {
        let (first, rest) = self.first()?;
        let fits = |x: &&Value| x.hw().is_some() && x.windows == 1 && x.channels() == first.channels();
        match rest.iter().copied().chain([first]).find(|x| !fits(x)) {
            Some(x) => Err(self.bad(x, format!("a map of {} channels", first.channels()))),
            None if count == 0 || side == 0 => {
                Err(self.bad(format!("{count} regions of {side} x {side}"), "one at least"))
            }
            None => Ok(Value { windows: count, ..Value::map(first.sections.clone(), side, side) }),
        }
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
        Ok(if transposed { Value::heads(heads, d, n) } else { Value::heads(heads, n, d) })
    }

    fn windows(&self, side: u32) -> Shape {
        let (x, h, w) = self.map()?;
        if side == 0 || x.windows != 1 {
            return Err(self.bad(x, "a map that is not cut yet, and a window with pixels"));
        }
        Ok(Value { windows: h.div_ceil(side) * w.div_ceil(side), ..Value::map(x.sections.clone(), side, side) })
    }

    fn unwindow(&self, h: u32, w: u32) -> Shape {
        let (x, side, width) = self.map()?;
        if side == 0 || side != width || x.windows != h.div_ceil(side) * w.div_ceil(side) {
            return Err(self.bad(x, format!("windows of a map of {h}x{w}")));
        }
        Ok(Value::map(x.sections.clone(), h, w))
    }

    fn merge_heads(&self, h: u32, w: u32, transposed: bool) -> Shape {
        let x = self.one()?;
        match x.dims[..] {
            [heads, d, n] if transposed && n == h * w => Ok(Value::map(Sections::runs(heads, d), h, w)),
            [heads, n, d] if !transposed && n == h * w => Ok(Value::map(Sections::runs(heads, d), h, w)),
            _ => Err(self.bad(x, format!("heads of {} rows", h * w))),
        }
    }

    fn mat_mul(&self) -> Shape {
        let [a, b] = self.two()?;
        match (&a.dims[..], &b.dims[..]) {
            (&[h, n, k], &[h2, k2, m]) if h == h2 && k == k2 => Ok(Value::heads(h, n, m)),
            _ => Err(self.bad(format!("{a} and {b}"), "matrices whose inner sizes match")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
