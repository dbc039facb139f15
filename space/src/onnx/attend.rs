//! Rows, heads and patches in ONNX: linear layers, attention, and what moves pixels to rows and back.

use super::OnnxError;
use super::lower::{At, Lower, Out, sizes, window};
use crate::ir::{Layout, Op, ParamSpec};

/// Rows of a matrix that lie one after another in `values`, picked.
fn picked(values: &[f32], width: usize, rows: &[usize], factor: f32) -> Vec<f32> {
    let row = |r: &usize| values[r * width..(r + 1) * width].iter().map(move |v| v * factor);
    rows.iter().flat_map(row).collect()
}

/// `[rows, columns]` to `[columns, rows]`.
fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len() / columns.max(1);
    (0..columns).flat_map(|c| (0..rows).map(move |r| values[r * columns + c])).collect()
}

impl Lower<'_> {
    /// Whether a linear layer is read in parts only. Then each part is a layer of its own, on the rows of the weights that
    /// make it: cutting weights, once, is cheaper than cutting rows each time.
    pub(super) fn comes_in_parts(&self, index: usize) -> bool {
        let node = &self.graph.nodes[index];
        let cut = |r: &usize| matches!(self.graph.nodes[*r].op, Op::Slice { .. } | Op::SliceHeads { .. });
        let linear = matches!(node.op, Op::Linear { .. }) && index != self.graph.output;
        linear && !self.readers[index].is_empty() && self.readers[index].iter().all(cut)
    }

    /// The part of its input that a node reads, if that comes in parts.
    pub(super) fn part(&mut self, at: &At) -> Result<Option<String>, OnnxError> {
        let Some(from) = at.node.inputs.first().map(|i| *i as usize).filter(|i| self.comes_in_parts(*i)) else {
            return Ok(None);
        };
        let whole = &self.graph.nodes[from];
        let (rows, name) = match &at.node.op {
            Op::Slice { start, len } => {
                ((*start..start + len).map(|r| r as usize).collect(), format!("{start}..{}", start + len))
            }
            Op::SliceHeads { heads, start, len } => {
                let run = whole.value.channels() / heads;
                let of_head = |h: u32| (h * run + start..h * run + start + len).map(|r| r as usize);
                let rows: Vec<usize> = (0..*heads).flat_map(of_head).collect();
                (rows, format!("{heads}x{start}..{}", start + len))
            }
            _ => return Ok(None),
        };
        let inner = whole.inputs.first().map_or(0, |i| *i as usize);
        let x = self.value(inner);
        let specs = self.graph.node_params(from);
        let factor = self.factor_of(at.index);
        let name = if factor == 1.0 { name } else { format!("{name}.scaled") };
        let piece = Piece { at, x: &x, rows: &rows, name: &name, factor };
        self.linear_of(&specs, piece).map(Some)
    }

    /// `key_dim^-0.5` for the rows that are an attention's queries and nothing else, so that weights hold it.
    fn factor_of(&self, index: usize) -> f32 {
        let [reader] = self.readers[index][..] else { return 1.0 };
        match &self.graph.nodes[reader] {
            n if n.inputs.first() != Some(&(index as u32)) => 1.0,
            n => {
                if let Op::Attention { key_dim, .. } = n.op {
                    scale(key_dim)
                } else {
                    1.0
                }
            }
        }
    }

    pub(super) fn linear(&mut self, at: &At) -> Out {
        let specs = self.graph.node_params(at.index);
        if at.node.inputs.first().is_some_and(|i| self.stays_map(*i as usize)) {
            return self.linear_of_pixel(at, &specs);
        }
        let rows: Vec<usize> = (0..at.node.value.channels() as usize).collect();
        let piece = Piece { at, x: at.input(0)?, rows: &rows, name: "", factor: 1.0 };
        self.linear_of(&specs, piece)
    }

    /// A linear layer on a map of one pixel, as a convolution.
    fn linear_of_pixel(&mut self, at: &At, specs: &[ParamSpec]) -> Out {
        let [weight, rest @ ..] = specs else { return Err(self.lost(at)) };
        let shape = [&weight.shape()[..], &[1, 1]].concat();
        let values = self.array(weight)?;
        let weight = self.w.weights(&format!("{}.pixel", weight.name), &shape, values);
        let bias = rest.first().map(|b| self.weight(b)).transpose()?;
        let ins: Vec<&str> = [at.input(0)?, &weight].into_iter().chain(bias.as_deref()).collect();
        let map = self.w.node("Conv", &ins, window(1, 1, 1, 0));
        Ok(self.flat(&map))
    }

    fn linear_of(&mut self, specs: &[ParamSpec], p: Piece) -> Out {
        let [weight, rest @ ..] = specs else { return Err(self.lost(p.at)) };
        let (width, dot) = (weight.shape()[1], if p.name.is_empty() { "" } else { "." });
        let values = transposed(&picked(self.array(weight)?, width as usize, p.rows, p.factor), width as usize);
        let name = format!("{}{dot}{}.transposed", weight.name, p.name);
        let weight = self.w.weights(&name, &[width, p.rows.len() as i64], &values);
        let bias = match rest.first() {
            Some(bias) => {
                let values = picked(self.array(bias)?, 1, p.rows, p.factor);
                Some(self.w.weights(&format!("{}{dot}{}", bias.name, p.name), &[p.rows.len() as i64], &values))
            }
            None => None,
        };
        if let (1, Some(bias)) = (p.at.node.value.dims.len(), &bias) {
            return Ok(self.w.node("Gemm", &[p.x, &weight, bias], vec![]));
        }
        if self.rows_as_matrices {
            let x = self.reshape(p.x, &[-1, width]);
            let ins: Vec<&str> = [x.as_str(), &weight].into_iter().chain(bias.as_deref()).collect();
            let out = self.w.node("Gemm", &ins, vec![]);
            let shape: Vec<i64> = std::iter::once(-1).chain(sizes(&p.at.node.value.dims)).collect();
            return Ok(self.reshape(&out, &shape));
        }
        let out = self.w.node("MatMul", &[p.x, &weight], vec![]);
        Ok(bias.map_or(out.clone(), |b| self.w.node("Add", &[&out, &b], vec![])))
    }

    pub(super) fn slice(&mut self, x: &str, axis: i64, start: u32, len: u32) -> String {
        let ends = [start, start + len].map(|v| self.w.ints(&[i64::from(v)]));
        let axes = self.w.ints(&[axis]);
        self.w.node("Slice", &[x, &ends[0], &ends[1], &axes], vec![])
    }

    pub(super) fn slice_heads(&mut self, at: &At) -> Out {
        if let Some(part) = self.part(at)? {
            return Ok(part);
        }
        let Op::SliceHeads { heads, start, len } = at.node.op else { return Err(self.lost(at)) };
        let whole = at.node.inputs.first().map_or(0, |i| self.graph.nodes[*i as usize].value.channels());
        let leading = &at.node.value.dims[..at.node.value.axis];
        let shape =
            |last: &[u32]| -> Vec<i64> { std::iter::once(0).chain(sizes(leading)).chain(sizes(last)).collect() };
        let runs = self.reshape(at.input(0)?, &shape(&[heads, whole / heads]));
        let cut = self.slice(&runs, -1, start, len);
        Ok(self.reshape(&cut, &shape(&[heads * len])))
    }

    pub(super) fn attention(&mut self, at: &At, heads: i64, key_dim: i64) -> Out {
        let node = |i: usize| at.node.inputs.get(i).map_or(0, |n| *n as usize);
        let rows = |i: usize| {
            let value = &self.graph.nodes[node(i)].value;
            value.dims.get(value.axis.wrapping_sub(1)).map_or(1, |n| i64::from(*n))
        };
        let channels = i64::from(at.node.value.channels());
        let (queries, keys) = (rows(0), rows(1));
        let held = self.part_is_scaled(node(0));
        let q = self.reshape(at.input(0)?, &[-1, queries, heads, key_dim]);
        let mut q = self.transpose(&q, &[0, 2, 1, 3]);
        if !held {
            let factor = self.w.number(scale(key_dim as u32));
            q = self.w.node("Mul", &[&q, &factor], vec![]);
        }
        let k = self.reshape(at.input(1)?, &[-1, keys, heads, key_dim]);
        let k = self.transpose(&k, &[0, 2, 3, 1]);
        let v = self.reshape(at.input(2)?, &[-1, keys, heads, channels / heads.max(1)]);
        let v = self.transpose(&v, &[0, 2, 1, 3]);
        let mut logits = self.w.node("MatMul", &[&q, &k], vec![]);
        if let Ok(bias) = at.input(3) {
            logits = self.w.node("Add", &[&logits, bias], vec![]);
        }
        let weights = self.w.node("Softmax", &[&logits], vec![super::proto::Attribute::int("axis", -1)]);
        let y = self.w.node("MatMul", &[&weights, &v], vec![]);
        let y = self.transpose(&y, &[0, 2, 1, 3]);
        let shape: Vec<i64> = std::iter::once(-1).chain(sizes(&at.node.value.dims)).collect();
        Ok(self.reshape(&y, &shape))
    }

    /// Whether the weights that make a node's value hold the factor of the attention that reads it.
    fn part_is_scaled(&self, index: usize) -> bool {
        let from = self.graph.nodes[index].inputs.first().map(|i| *i as usize);
        let cut = matches!(self.graph.nodes[index].op, Op::Slice { .. } | Op::SliceHeads { .. });
        cut && self.readers[index].len() == 1 && from.is_some_and(|i| self.comes_in_parts(i))
    }

    pub(super) fn heads(&mut self, at: &At) -> Out {
        let x = at.input(0)?;
        match at.node.op {
            Op::SplitHeads { heads, transposed } => {
                let [_, a, b] = at.node.value.dims[..] else { return Err(self.lost(at)) };
                let (n, d) = if transposed { (b, a) } else { (a, b) };
                let split = self.reshape(x, &[0, i64::from(heads), i64::from(d), i64::from(n)]);
                Ok(if transposed { split } else { self.transpose(&split, &[0, 1, 3, 2]) })
            }
            _ => {
                let x = self.transpose(x, &[0, 1, 3, 2]);
                let shape: Vec<i64> = std::iter::once(0).chain(sizes(&at.node.value.dims)).collect();
                Ok(self.reshape(&x, &shape))
            }
        }
    }

    pub(super) fn patches(&mut self, at: &At) -> Out {
        let (x, value) = (at.input(0)?, &at.node.value);
        let c = i64::from(value.channels());
        let hw = |i: Option<&u32>| i.and_then(|i| self.graph.nodes[*i as usize].value.hw());
        match at.node.op {
            Op::Unfold { patch, layout } => {
                let (h, w) = hw(at.node.inputs.first()).ok_or_else(|| self.lost(at))?;
                let [p, rows, cols] = [patch, h / patch, w / patch].map(i64::from);
                match layout {
                    Layout::Rows => {
                        // Channels go last first: what moves then moves in whole rows.
                        let x = self.transpose(x, &[0, 2, 3, 1]);
                        let x = self.reshape(&x, &[-1, rows, p, cols, p, c]);
                        let x = self.transpose(&x, &[0, 2, 4, 1, 3, 5]);
                        Ok(self.reshape(&x, &[-1, p * p, rows * cols, c]))
                    }
                    Layout::Map => {
                        let x = self.reshape(x, &[-1, c, rows, p, cols, p]);
                        let x = self.transpose(&x, &[0, 1, 3, 5, 2, 4]);
                        Ok(self.reshape(&x, &[-1, c, p * p, rows * cols]))
                    }
                }
            }
            Op::Fold { patch, layout, h, w } => {
                let [p, rows, cols] = [patch, h / patch, w / patch].map(i64::from);
                let (h, w) = (i64::from(h), i64::from(w));
                match layout {
                    Layout::Rows => {
                        let x = self.reshape(x, &[-1, p, p, rows, cols, c]);
                        let x = self.transpose(&x, &[0, 3, 1, 4, 2, 5]);
                        let x = self.reshape(&x, &[-1, h, w, c]);
                        Ok(self.transpose(&x, &[0, 3, 1, 2]))
                    }
                    Layout::Map => {
                        let x = self.reshape(x, &[-1, c, p, p, rows, cols]);
                        let x = self.transpose(&x, &[0, 1, 4, 2, 5, 3]);
                        Ok(self.reshape(&x, &[-1, c, h, w]))
                    }
                }
            }
            _ => {
                let n = value.dims.first().map_or(1, |n| i64::from(*n));
                let x = self.reshape(x, &[0, c, n]);
                Ok(self.transpose(&x, &[0, 2, 1]))
            }
        }
    }
}

/// The factor of an attention's logits.
fn scale(key_dim: u32) -> f32 {
    f64::from(key_dim).powf(-0.5) as f32
}

/// Some output channels of a layer, for the node that reads them.
struct Piece<'p, 'n> {
    at: &'p At<'n>,
    /// What the layer reads.
    x: &'p str,
    /// The channels.
    rows: &'p [usize],
    /// The part's name; empty for the whole.
    name: &'p str,
    /// What the part is multiplied by.
    factor: f32,
}
