//! Attention in ONNX.

use mobilenas_space::ir::{LINEAR_ATTENTION_EPS, ParamSpec};

use super::linear::attention_scale;
use super::lower::{Lowering, NodeCtx, OnnxValue, shape};
use super::proto::Attribute;

impl Lowering<'_> {
    pub(super) fn attention(&mut self, at: &NodeCtx, heads: u32, key_dim: u32) -> OnnxValue {
        let node = |i: usize| at.node.inputs.get(i).map_or(0, |n| *n as usize);
        let rows = |i: usize| {
            let value = &self.graph.nodes[node(i)].value;
            value.dims.get(value.axis.wrapping_sub(1)).map_or(1, |n| i64::from(*n))
        };
        let channels = i64::from(at.node.value.channels());
        let (queries, keys, factor) = (rows(0), rows(1), attention_scale(key_dim));
        let (heads, key_dim) = (i64::from(heads), i64::from(key_dim));
        let scaled = self.holds_factor(node(0));
        let q = self.reshape(at.input(0)?, &[-1, queries, heads, key_dim]);
        let mut q = self.transpose(&q, &[0, 2, 1, 3]);
        if !scaled {
            let factor = self.w.number(factor);
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
        let weights = self.w.node("Softmax", &[&logits], vec![Attribute::int("axis", -1)]);
        let y = self.w.node("MatMul", &[&weights, &v], vec![]);
        let y = self.transpose(&y, &[0, 2, 1, 3]);
        Ok(self.reshape(&y, &shape([-1], &at.node.value.dims)))
    }

    pub(super) fn linear_attention(&mut self, at: &NodeCtx, heads: u32, key_dim: u32) -> OnnxValue {
        let value = |i: usize| at.node.inputs.get(i).map(|n| &self.graph.nodes[*n as usize].value);
        let rows = |i: usize| value(i).and_then(|v| v.dims.get(v.axis.wrapping_sub(1))).map_or(1, |n| i64::from(*n));
        let (queries, keys) = (rows(0), rows(1));
        let (heads, key_dim, channels) = (i64::from(heads), i64::from(key_dim), i64::from(at.node.value.channels()));
        let q = self.reshape(at.input(0)?, &[-1, queries, heads, key_dim]);
        let q = self.transpose(&q, &[0, 2, 1, 3]);
        let k = self.reshape(at.input(1)?, &[-1, keys, heads, key_dim]);
        let k = self.transpose(&k, &[0, 2, 3, 1]);
        let v = self.reshape(at.input(2)?, &[-1, keys, heads, channels / heads.max(1)]);
        let v = self.transpose(&v, &[0, 2, 1, 3]);
        let context = self.w.node("MatMul", &[&k, &v], vec![]);
        let last = self.w.ints(&[-1]);
        let sums = self.w.node("ReduceSum", &[&k, &last], vec![Attribute::int("keepdims", 1)]);
        let y = self.w.node("MatMul", &[&q, &context], vec![]);
        let divisor = self.w.node("MatMul", &[&q, &sums], vec![]);
        let eps = self.w.number(LINEAR_ATTENTION_EPS as f32);
        let divisor = self.w.node("Add", &[&divisor, &eps], vec![]);
        let y = self.w.node("Div", &[&y, &divisor], vec![]);
        let y = self.transpose(&y, &[0, 2, 1, 3]);
        Ok(self.reshape(&y, &shape([-1], &at.node.value.dims)))
    }

    /// The products of the queries with the vectors for rows and for columns, which are laid out for each place at export.
    pub(super) fn relative_logits(&mut self, at: &NodeCtx, heads: u32) -> OnnxValue {
        let q = self.source(at.index).map(|i| &self.graph.nodes[i].value);
        let (q, (h, w)) =
            q.and_then(|q| Some((q, q.hw()?))).ok_or_else(|| at.wrong_shape("other axes", "a map CxHxW"))?;
        let dim = q.channels() / heads.max(1);
        let specs = self.graph.node_params(at.index);
        let [height, width] = &specs[..] else { return Err(at.wrong_tensors()) };
        let tables = [self.by_place(height, h, dim)?, self.by_place(width, w, dim)?];
        let [heads, h, w, dim] = [heads, h, w, dim].map(i64::from);
        let q = self.reshape(at.input(0)?, &[-1, dim, h, w]);
        let mut product = |side: i64, table: &str, [to, back]: [&[i64; 4]; 2], sizes: [i64; 2]| {
            let places = self.transpose(&q, to);
            let places = self.reshape(&places, &[side, -1, dim]);
            let logits = self.w.node("MatMul", &[&places, table], vec![]);
            let logits = self.reshape(&logits, &[side, -1, h * w / side, side]);
            let logits = self.transpose(&logits, back);
            self.reshape(&logits, &[-1, h * w, sizes[0], sizes[1]])
        };
        let rows = product(h, &tables[0], [&[2, 0, 3, 1], &[1, 0, 2, 3]], [h, 1]);
        let columns = product(w, &tables[1], [&[3, 0, 2, 1], &[1, 2, 0, 3]], [1, w]);
        let logits = self.w.node("Add", &[&rows, &columns], vec![]);
        Ok(self.reshape(&logits, &[-1, heads, h * w, h * w]))
    }

    /// For each of `n` places in a line, the vectors for the way from it to each place, as columns.
    fn by_place(&mut self, table: &ParamSpec, n: u32, dim: u32) -> OnnxValue {
        let (values, n, dim) = (self.array(table)?, n as usize, dim as usize);
        let value = |from: usize, k: usize, to: usize| values[(to + n - 1 - from) * dim + k];
        let matrix = |from: usize| (0..dim).flat_map(move |k| (0..n).map(move |to| value(from, k, to)));
        let all: Vec<f32> = (0..n).flat_map(matrix).collect();
        Ok(self.w.weights(&format!("{}.by_place", table.name), &[n, dim, n].map(|v| v as i64), &all))
    }

    pub(super) fn split_heads(&mut self, at: &NodeCtx, heads: u32, transposed: bool) -> OnnxValue {
        let value = &at.node.value;
        let [_, a, b] = value.dims[..] else { return Err(at.wrong_shape(value, "three axes")) };
        let (n, d) = if transposed { (b, a) } else { (a, b) };
        let split = self.reshape(at.input(0)?, &[0, i64::from(heads), i64::from(d), i64::from(n)]);
        Ok(if transposed { split } else { self.transpose(&split, &[0, 1, 3, 2]) })
    }

    pub(super) fn merge_heads(&mut self, at: &NodeCtx, transposed: bool) -> OnnxValue {
        let x = at.input(0)?.to_string();
        let x = if transposed { x } else { self.transpose(&x, &[0, 1, 3, 2]) };
        Ok(self.reshape(&x, &shape([0], &at.node.value.dims)))
    }
}
