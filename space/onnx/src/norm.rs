//! Norms in ONNX.

use mobilenas_space::ir::{Groups, Op, ParamSpec};

use super::error::OnnxError;
use super::lower::{Lowering, NodeCtx, OnnxValue, shape};
use super::proto::Attribute;

impl Lowering<'_> {
    pub(super) fn batch_norm(&mut self, at: &NodeCtx) -> OnnxValue {
        self.norm(at, "BatchNormalization", vec![Attribute::float("epsilon", self.graph.bn_eps() as f32)])
    }

    pub(super) fn layer_norm(&mut self, at: &NodeCtx, eps_e7: u32) -> OnnxValue {
        let eps = (f64::from(eps_e7) * 1e-7) as f32;
        self.norm(at, "LayerNormalization", vec![Attribute::int("axis", -1), Attribute::float("epsilon", eps)])
    }

    pub(super) fn l2_norm(&mut self, at: &NodeCtx) -> OnnxValue {
        let (x, last) = (at.input(0)?, self.w.ints(&[-1]));
        let norm = self.w.node("ReduceL2", &[x, &last], vec![Attribute::int("keepdims", 1)]);
        let least = self.w.number(1e-12);
        let norm = self.w.node("Max", &[&norm, &least], vec![]);
        Ok(self.w.node("Div", &[x, &norm], vec![]))
    }

    fn norm(&mut self, at: &NodeCtx, op: &str, attributes: Vec<Attribute>) -> OnnxValue {
        let weights = self.all_weights(at.index)?;
        let mut inputs = vec![at.input(0)?];
        inputs.extend(weights.iter().map(String::as_str));
        Ok(self.w.node(op, &inputs, attributes))
    }

    /// One group over everything: an instance norm of one long channel, then the learnt scale and shift, unless the 1x1
    /// convolution that alone reads them holds them in its weights.
    pub(super) fn group_norm(&mut self, at: &NodeCtx, eps_e7: u32) -> OnnxValue {
        let x = self.reshape(at.input(0)?, &[0, 1, -1]);
        let (one, zero) = (self.w.vector(1.0), self.w.vector(0.0));
        let eps = Attribute::float("epsilon", (f64::from(eps_e7) * 1e-7) as f32);
        let x = self.w.node("InstanceNormalization", &[&x, &one, &zero], vec![eps]);
        let x = self.reshape(&x, &shape([0], &at.node.value.dims));
        if self.is_folded(at.index) {
            return Ok(x);
        }
        let specs = self.graph.node_params(at.index);
        let [gamma, beta @ ..] = &specs[..] else { return Err(at.wrong_tensors()) };
        let gamma = self.channelwise(gamma, at)?;
        let beta = beta.first().map(|b| self.channelwise(b, at)).transpose()?;
        let x = self.w.node("Mul", &[&x, &gamma], vec![]);
        Ok(beta.map_or(x.clone(), |b| self.w.node("Add", &[&x, &b], vec![])))
    }

    /// Whether a group norm's scale and shift are folded into the convolution that reads it.
    fn is_folded(&self, index: usize) -> bool {
        let [reader] = self.readers[index][..] else { return false };
        let pointwise = |op: &Op| matches!(op, Op::Conv { kernel: 1, pad: 0, groups: Groups::Dense, .. });
        matches!(self.graph.nodes[index].op, Op::GroupNorm { .. })
            && !self.is_output(index)
            && pointwise(&self.graph.nodes[reader].op)
    }

    /// The scale and, if there is one, the shift of the norm that is folded into a convolution, if one is.
    pub(super) fn folded_norm(&self, at: &NodeCtx) -> Option<Vec<ParamSpec>> {
        let from = self.source(at.index).filter(|i| self.is_folded(*i))?;
        Some(self.graph.node_params(from))
    }

    /// Weight and bias of a 1x1 convolution with the scale and shift of its input folded in.
    pub(super) fn weights_after(&mut self, at: &NodeCtx, norm: &[ParamSpec]) -> Result<Vec<String>, OnnxError> {
        let [gamma, beta @ ..] = norm else { return Err(at.wrong_tensors()) };
        let specs = self.graph.node_params(at.index);
        let [weight, rest @ ..] = &specs[..] else { return Err(at.wrong_tensors()) };
        let (values, gamma) = (self.array(weight)?, self.array(gamma)?);
        let beta = beta.first().map(|b| self.array(b)).transpose()?;
        let bias = rest.first().map(|b| self.array(b)).transpose()?;
        let rows = || values.chunks(gamma.len().max(1)).enumerate();
        let scaled: Vec<f32> = rows().flat_map(|(_, row)| row.iter().zip(gamma).map(|(w, g)| w * g)).collect();
        let mut shifts = Vec::new();
        for (out, row) in rows().filter(|_| bias.is_some() || beta.is_some()) {
            let shift: f64 = row.iter().zip(beta.unwrap_or(&[])).map(|(w, b)| f64::from(*w) * f64::from(*b)).sum();
            shifts.push((f64::from(bias.map_or(0.0, |b| b[out])) + shift) as f32);
        }
        let name = |leaf: &str| format!("{}.{leaf}.normed", at.node.path);
        let weight = self.w.weights(&name("weight"), &weight.shape(), &scaled);
        if shifts.is_empty() {
            return Ok(vec![weight]);
        }
        let bias = self.w.weights(&name("bias"), &[shifts.len() as i64], &shifts);
        Ok(vec![weight, bias])
    }
}
