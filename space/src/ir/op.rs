//! The closed set of primitive operations. A new one breaks every reader's `match` at compile time; that is wanted.

use smallvec::smallvec;

use super::{Sections, ShapeError, Value};

/// Epsilon of every batch norm here.
pub const BN_EPS: f64 = 1e-5;

/// Epsilon of every group norm here.
pub const GROUP_NORM_EPS: f64 = 1e-5;

/// Pointwise functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActFn {
    /// max(x, 0)
    Relu,
    /// min(max(x, 0), 6)
    Relu6,
    /// x * sigmoid(x)
    Silu,
    /// x * Phi(x), exact
    Gelu,
    /// 1 / (1 + exp(-x))
    Sigmoid,
    /// relu6(x + 3) / 6
    HardSigmoid,
    /// x * relu6(x + 3) / 6
    HardSwish,
}

/// Which channels of the input a convolution's output channel sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Groups {
    /// All of them.
    Dense,
    /// Its own alone; output channels are the input's.
    Depthwise,
}

/// How rows of tokens are laid out after [`Op::Unfold`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// `[P, N, C]`: positions in a patch, patches, channels.
    Rows,
    /// `[C, P, N]`: a map whose height is the position in a patch and whose width is the patch.
    Map,
}

/// Which initialisation the family's reference code uses for convolutions and linear layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum InitStyle {
    /// Convolution: normal, sqrt(2 / fan_out). Linear: truncated normal 0.02, bias 0.
    #[default]
    Mobile,
    /// Convolution: PyTorch's default. Linear: truncated normal 0.02, bias 0.
    Former,
}

/// A primitive operation. Sizes are of one image: the batch is not part of the graph.
#[allow(missing_docs)] // the fields are named in each operation's line
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// The image.
    Input,
    /// 2-D convolution over a map; padding `pad` on all sides.
    Conv { out: Sections, kernel: u32, stride: u32, pad: u32, groups: Groups, bias: bool },
    /// Batch normalisation over the channels of a map or of a vector.
    BatchNorm,
    /// Layer normalisation over the channels of rows; `eps` in units of 1e-7.
    LayerNorm { eps_e7: u32 },
    /// Group normalisation with one group, over the whole map.
    GroupNorm,
    /// Linear layer over the last axis.
    Linear { out: Sections, bias: bool },
    /// A pointwise function.
    Act(ActFn),
    /// Average pooling; border windows divide by the pixels they hold.
    AvgPool { kernel: u32, stride: u32, pad: u32 },
    /// Mean over all positions of a map, or over the rows. The channels remain, as a 1x1 map when `keep`.
    GlobalPool { keep: bool },
    /// Bilinear resize of a map.
    Resize { h: u32, w: u32, align_corners: bool },
    /// Map to patches of `patch` x `patch`.
    Unfold { patch: u32, layout: Layout },
    /// The inverse of `Unfold`, to a map of `h` x `w`.
    Fold { patch: u32, layout: Layout, h: u32, w: u32 },
    /// Map to rows, `[C, H, W]` to `[H * W, C]`.
    Flatten,
    /// Channels `start .. start + len`.
    Slice { start: u32, len: u32 },
    /// Channels `start .. start + len` of each of `heads` equal runs.
    SliceHeads { heads: u32, start: u32, len: u32 },
    /// Joins along the channels.
    Concat,
    /// Joins rows, along the axis before the channels.
    ConcatRows,
    /// One row, counted from 0.
    Row { index: u32 },
    /// Sum; sizes are equal, or one side is 1 and repeats.
    Add,
    /// Difference of two values.
    Sub,
    /// Mean of two values.
    Mean,
    /// Product; sizes are equal, or one side is 1 and repeats.
    Mul,
    /// Sum over the last axis of a map, which stays with size 1.
    SumWidth,
    /// Softmax over the last axis.
    Softmax,
    /// Multiplication by `n^-0.5`.
    InvSqrt { n: u32 },
    /// Scaled dot-product attention of rows q, k, v and, if a fourth input is given, a bias on the logits.
    Attention { heads: u32, key_dim: u32 },
    /// `[heads * d, H, W]` to `[heads, H * W, d]`, or to `[heads, d, H * W]` when transposed.
    SplitHeads { heads: u32, transposed: bool },
    /// `[heads, N, d]` to `[heads * d, h, w]`.
    MergeHeads { h: u32, w: u32 },
    /// Matrix product over the last two axes.
    MatMul,
    /// A learnt factor for each channel.
    ChannelScale { init_e7: u32 },
    /// Learnt biases `[heads, queries, keys]`, by the distance of query and key on a grid of `h` x `w` keys;
    /// queries stand on every `stride`-th row and column. `index` says whether checkpoints hold the table of indices.
    BiasTable { heads: u32, h: u32, w: u32, stride: u32, index: bool },
    /// A learnt tensor of rows, the same for every image.
    Learnt { rows: u32, channels: u32 },
    /// In training: zeroes elements with probability `permille` / 1000.
    Dropout { permille: u32 },
    /// In training: drops the whole branch of an image with probability `permille` / 1000.
    DropPath { permille: u32 },
}

fn bad(op: &str, found: impl std::fmt::Display, expected: impl Into<String>) -> ShapeError {
    ShapeError::new(op, found.to_string(), expected)
}

/// Output size of a window over `size` positions.
fn windows(size: u32, kernel: u32, stride: u32, pad: u32) -> Option<u32> {
    (size + 2 * pad).checked_sub(kernel).filter(|_| stride > 0).map(|room| room / stride + 1)
}

fn one<'a>(op: &str, ins: &[&'a Value]) -> Result<&'a Value, ShapeError> {
    match ins {
        [x] => Ok(x),
        _ => Err(bad(op, format!("{} inputs", ins.len()), "one input")),
    }
}

fn map_of<'a>(op: &str, ins: &[&'a Value]) -> Result<(&'a Value, u32, u32), ShapeError> {
    let x = one(op, ins)?;
    let (h, w) = x.hw().ok_or_else(|| bad(op, x, "a map CxHxW"))?;
    Ok((x, h, w))
}

impl Op {
    /// The operation's name, for histograms, tables and messages.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input => "input",
            Op::Conv { groups: Groups::Depthwise, .. } => "depthwise_conv",
            Op::Conv { .. } => "conv",
            Op::BatchNorm => "batch_norm",
            Op::LayerNorm { .. } => "layer_norm",
            Op::GroupNorm => "group_norm",
            Op::Linear { .. } => "linear",
            Op::Act(_) => "act",
            Op::AvgPool { .. } => "avg_pool",
            Op::GlobalPool { .. } => "global_pool",
            Op::Resize { .. } => "resize",
            Op::Unfold { .. } => "unfold",
            Op::Fold { .. } => "fold",
            Op::Flatten => "flatten",
            Op::Slice { .. } => "slice",
            Op::SliceHeads { .. } => "slice_heads",
            Op::Concat => "concat",
            Op::ConcatRows => "concat_rows",
            Op::Row { .. } => "row",
            Op::Add => "add",
            Op::Sub => "sub",
            Op::Mean => "mean",
            Op::Mul => "mul",
            Op::SumWidth => "sum_width",
            Op::Softmax => "softmax",
            Op::InvSqrt { .. } => "inv_sqrt",
            Op::Attention { .. } => "attention",
            Op::SplitHeads { .. } => "split_heads",
            Op::MergeHeads { .. } => "merge_heads",
            Op::MatMul => "mat_mul",
            Op::ChannelScale { .. } => "channel_scale",
            Op::BiasTable { .. } => "bias_table",
            Op::Learnt { .. } => "learnt",
            Op::Dropout { .. } => "dropout",
            Op::DropPath { .. } => "drop_path",
        }
    }

    /// The value this operation makes of its inputs.
    ///
    /// # Errors
    /// When a size, an axis or the number of inputs does not fit; the message says what was expected.
    pub fn out_value(&self, ins: &[&Value]) -> Result<Value, ShapeError> {
        let name = self.name();
        match self {
            Op::Input => Err(bad(name, "an operation", "the graph's own input")),
            Op::Conv { .. } | Op::AvgPool { .. } | Op::Resize { .. } => self.window_value(name, ins),
            Op::BatchNorm
            | Op::Act(_)
            | Op::Dropout { .. }
            | Op::DropPath { .. }
            | Op::ChannelScale { .. }
            | Op::Softmax
            | Op::InvSqrt { .. } => one(name, ins).cloned(),
            Op::GroupNorm => map_of(name, ins).map(|(x, ..)| x.clone()),
            Op::LayerNorm { .. } | Op::Linear { .. } => self.rows_value(name, ins),
            Op::Unfold { .. } | Op::Fold { .. } | Op::Flatten => self.patch_value(name, ins),
            Op::GlobalPool { keep: true } => one(name, ins).map(|x| Value::map(x.sections.clone(), 1, 1)),
            Op::GlobalPool { keep: false } => one(name, ins).map(|x| Value::rows(&[], x.sections.clone())),
            Op::Slice { .. } | Op::SliceHeads { .. } => self.slice_value(name, ins),
            Op::Concat | Op::ConcatRows | Op::Row { .. } => self.joined_value(name, ins),
            Op::Add | Op::Sub | Op::Mean | Op::Mul => broadcast(name, ins),
            Op::SumWidth => {
                let (x, h, _) = map_of(name, ins)?;
                Ok(Value::map(x.sections.clone(), h, 1))
            }
            Op::Attention { .. } | Op::SplitHeads { .. } | Op::MergeHeads { .. } | Op::MatMul => {
                self.heads_value(name, ins)
            }
            Op::BiasTable { heads, h, w, stride, .. } => {
                let queries = h.div_ceil(*stride) * w.div_ceil(*stride);
                Ok(Value { dims: smallvec![*heads, queries, h * w], axis: 0, sections: Sections::runs(*heads, 1) })
            }
            Op::Learnt { rows, channels } => Ok(Value::rows(&[*rows], Sections::plain(*channels))),
        }
    }

    fn window_value(&self, name: &str, ins: &[&Value]) -> Result<Value, ShapeError> {
        let (x, h, w) = map_of(name, ins)?;
        let (kernel, stride, pad, sections) = match self {
            Op::Resize { h, w, .. } => return Ok(Value::map(x.sections.clone(), *h, *w)),
            Op::Conv { out, kernel, stride, pad, groups: Groups::Dense, .. } => (*kernel, *stride, *pad, out.clone()),
            Op::Conv { kernel, stride, pad, .. } | Op::AvgPool { kernel, stride, pad } => {
                (*kernel, *stride, *pad, x.sections.clone())
            }
            _ => return Err(bad(name, "an operation", "a window over a map")),
        };
        let size = |s| windows(s, kernel, stride, pad);
        match (size(h), size(w), sections.total()) {
            (Some(h), Some(w), 1..) => Ok(Value::map(sections, h, w)),
            _ => Err(bad(name, x, format!("a map that a {kernel}x{kernel} window fits into, and channels"))),
        }
    }

    fn rows_value(&self, name: &str, ins: &[&Value]) -> Result<Value, ShapeError> {
        let x = one(name, ins)?;
        if x.axis + 1 != x.dims.len() {
            return Err(bad(name, x, "rows with channels last"));
        }
        match self {
            Op::Linear { out, .. } => Ok(Value::rows(&x.dims[..x.axis], out.clone())),
            _ => Ok(x.clone()),
        }
    }

    fn patch_value(&self, name: &str, ins: &[&Value]) -> Result<Value, ShapeError> {
        if let Op::Fold { patch, layout, h, w } = self {
            let x = one(name, ins)?;
            let (p, n) = (patch * patch, (h / (*patch).max(1)) * (w / (*patch).max(1)));
            let fits = match layout {
                Layout::Rows => x.axis == 2 && x.dims[..2] == [p, n],
                Layout::Map => x.axis == 0 && x.dims[1..] == [p, n],
            };
            return match fits {
                true => Ok(Value::map(x.sections.clone(), *h, *w)),
                false => Err(bad(name, x, format!("{n} patches of {p}"))),
            };
        }
        let (x, h, w) = map_of(name, ins)?;
        let Op::Unfold { patch, layout } = self else {
            return Ok(Value::rows(&[h * w], x.sections.clone()));
        };
        if *patch == 0 || h % patch != 0 || w % patch != 0 {
            return Err(bad(name, x, format!("a map whose sides {patch} divides")));
        }
        let (p, n) = (patch * patch, (h / patch) * (w / patch));
        Ok(match layout {
            Layout::Rows => Value::rows(&[p, n], x.sections.clone()),
            Layout::Map => Value::map(x.sections.clone(), p, n),
        })
    }

    fn slice_value(&self, name: &str, ins: &[&Value]) -> Result<Value, ShapeError> {
        let x = one(name, ins)?;
        let sections = match self {
            Op::Slice { start, len } => x.sections.piece(*start, *len),
            Op::SliceHeads { heads, start, len } => {
                let run = x.channels() / (*heads).max(1);
                let fits = run * heads == x.channels() && *len > 0 && start + len <= run;
                fits.then(|| Sections::runs(*heads, *len))
            }
            _ => None,
        };
        let sections =
            sections.ok_or_else(|| bad(name, format!("{self:?} of {x}"), "a range that keeps runs whole"))?;
        let mut dims = x.dims.clone();
        dims[x.axis] = sections.total();
        Ok(Value { dims, axis: x.axis, sections })
    }

    fn joined_value(&self, name: &str, ins: &[&Value]) -> Result<Value, ShapeError> {
        let Some((first, rest)) = ins.split_first() else {
            return Err(bad(name, "no input", "at least one"));
        };
        let mut out = (*first).clone();
        match self {
            Op::Row { index } => {
                let [rows, _] = first.dims[..] else { return Err(bad(name, first, "rows NxC")) };
                if *index >= rows {
                    return Err(bad(name, format!("row {index} of {first}"), "a row that is there"));
                }
                return Ok(Value::rows(&[], first.sections.clone()));
            }
            Op::Concat => {
                for x in rest {
                    let mut like = x.dims.clone();
                    like[x.axis] = first.channels();
                    if x.axis != first.axis || like != first.dims {
                        return Err(bad(name, x, format!("the size of {first} but for the channels")));
                    }
                    out.sections = out.sections.join(&x.sections);
                }
                out.dims[first.axis] = out.sections.total();
            }
            _ => {
                for x in rest {
                    if x.axis == 0 || x.axis != first.axis || x.channels() != first.channels() {
                        return Err(bad(name, x, format!("rows as wide as {first}")));
                    }
                    out.dims[first.axis - 1] += x.dims[first.axis - 1];
                }
            }
        }
        Ok(out)
    }

    fn heads_value(&self, name: &str, ins: &[&Value]) -> Result<Value, ShapeError> {
        match (self, ins) {
            (Op::Attention { heads, key_dim }, [q, k, v, bias @ ..]) => {
                let rows = |x: &Value| x.dims[x.axis.saturating_sub(1)];
                let fits = q.channels() == heads * key_dim
                    && k.channels() == q.channels()
                    && v.channels() % heads == 0
                    && rows(k) == rows(v)
                    && q.axis == v.axis
                    && q.axis >= 1;
                let fits = fits && bias.iter().all(|b| b.dims[..] == [*heads, rows(q), rows(k)]);
                match fits {
                    true => Ok(Value::rows(&q.dims[..q.axis], v.sections.clone())),
                    false => Err(bad(name, format!("q {q}, k {k}, v {v}"), format!("{heads} heads of {key_dim}"))),
                }
            }
            (Op::SplitHeads { heads, transposed }, [x]) => {
                let (h, w) = x.hw().ok_or_else(|| bad(name, x, "a map"))?;
                let (n, d) = (h * w, x.channels() / (*heads).max(1));
                if d * heads != x.channels() {
                    return Err(bad(name, x, format!("channels that {heads} heads divide")));
                }
                let dims = if *transposed { smallvec![*heads, d, n] } else { smallvec![*heads, n, d] };
                Ok(Value { dims, axis: 0, sections: Sections::runs(*heads, 1) })
            }
            (Op::MergeHeads { h, w }, [x]) => match x.dims[..] {
                [heads, n, d] if n == h * w => Ok(Value::map(Sections::runs(heads, d), *h, *w)),
                _ => Err(bad(name, x, format!("heads of {} rows", h * w))),
            },
            (Op::MatMul, [a, b]) => match (&a.dims[..], &b.dims[..]) {
                (&[h, n, k], &[h2, k2, m]) if h == h2 && k == k2 => {
                    Ok(Value { dims: smallvec![h, n, m], axis: 0, sections: Sections::runs(h, 1) })
                }
                _ => Err(bad(name, format!("{a} and {b}"), "matrices that multiply")),
            },
            _ => Err(bad(name, format!("{} inputs", ins.len()), "two or three")),
        }
    }
}

/// Sizes equal, or one side 1.
fn broadcast(name: &str, ins: &[&Value]) -> Result<Value, ShapeError> {
    let [a, b] = ins else { return Err(bad(name, format!("{} inputs", ins.len()), "two")) };
    let fits = a.dims.len() == b.dims.len()
        && a.axis == b.axis
        && a.dims.iter().zip(&b.dims).all(|(x, y)| x == y || *x == 1 || *y == 1);
    if !fits {
        return Err(bad(name, format!("{a} and {b}"), "equal sizes, or 1 where one side repeats"));
    }
    let mut out = if a.channels() >= b.channels() { (*a).clone() } else { (*b).clone() };
    for (o, (x, y)) in out.dims.iter_mut().zip(a.dims.iter().zip(&b.dims)) {
        *o = *x.max(y);
    }
    Ok(out)
}
