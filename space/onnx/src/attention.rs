//! Attention in ONNX.

use mobilenas_space::ir::LINEAR_ATTENTION_EPS;

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
