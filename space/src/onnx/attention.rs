//! Attention in ONNX.

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

    pub(super) fn split_heads(&mut self, at: &NodeCtx, heads: u32, transposed: bool) -> OnnxValue {
        let value = &at.node.value;
        let [_, a, b] = value.dims[..] else { return Err(at.wrong_shape(value, "three axes")) };
        let (n, d) = if transposed { (b, a) } else { (a, b) };
        let split = self.reshape(at.input(0)?, &[0, i64::from(heads), i64::from(d), i64::from(n)]);
        Ok(if transposed { split } else { self.transpose(&split, &[0, 1, 3, 2]) })
    }

    pub(super) fn merge_heads(&mut self, at: &NodeCtx) -> OnnxValue {
        let x = self.transpose(at.input(0)?, &[0, 1, 3, 2]);
        Ok(self.reshape(&x, &shape([0], &at.node.value.dims)))
    }
}
