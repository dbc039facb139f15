//! Norms in ONNX.

use super::OnnxError;
use super::lower::{At, Lower, Out, sizes};
use super::proto::Attribute;
use crate::ir::{BN_EPS, GROUP_NORM_EPS, Groups, Op, ParamSpec};

impl Lower<'_> {
    pub(super) fn norm(&mut self, at: &At) -> Out {
        if at.node.op == Op::GroupNorm {
            return self.group_norm(at);
        }
        let weights = self.all_weights(at.index)?;
        let mut ins = vec![at.input(0)?];
        ins.extend(weights.iter().map(String::as_str));
        match &at.node.op {
            Op::LayerNorm { eps_e7 } => {
                let eps = (f64::from(*eps_e7) * 1e-7) as f32;
                let attributes = vec![Attribute::int("axis", -1), Attribute::float("epsilon", eps)];
                Ok(self.w.node("LayerNormalization", &ins, attributes))
            }
            _ => Ok(self.w.node("BatchNormalization", &ins, vec![Attribute::float("epsilon", BN_EPS as f32)])),
        }
    }

    /// One group over everything: an instance of one long channel, then the learnt scale and shift, which
    /// a 1x1 convolution takes in where it alone reads them.
    fn group_norm(&mut self, at: &At) -> Out {
        let x = self.reshape(at.input(0)?, &[0, 1, -1]);
        let (one, zero) = (self.w.vector(1.0), self.w.vector(0.0));
        let eps = Attribute::float("epsilon", GROUP_NORM_EPS as f32);
        let x = self.w.node("InstanceNormalization", &[&x, &one, &zero], vec![eps]);
        let shape: Vec<i64> = std::iter::once(0).chain(sizes(&at.node.value.dims)).collect();
        let x = self.reshape(&x, &shape);
        if self.is_absorbed(at.index) {
            return Ok(x);
        }
        let specs = self.graph.node_params(at.index);
        let [gamma, beta] = &specs[..] else { return Err(self.lost(at)) };
        let (gamma, beta) = (self.channelwise(gamma, at)?, self.channelwise(beta, at)?);
        let x = self.w.node("Mul", &[&x, &gamma], vec![]);
        Ok(self.w.node("Add", &[&x, &beta], vec![]))
    }

    /// Whether a group norm's scale and shift are in the weights of the convolution that reads it.
    fn is_absorbed(&self, index: usize) -> bool {
        let [reader] = self.readers[index][..] else { return false };
        let pointwise = |op: &Op| matches!(op, Op::Conv { kernel: 1, pad: 0, groups: Groups::Dense, .. });
        self.graph.nodes[index].op == Op::GroupNorm
            && index != self.graph.output
            && pointwise(&self.graph.nodes[reader].op)
    }

    /// The scale and shift that a convolution takes in from what it reads.
    pub(super) fn shared_norm(&self, at: &At) -> Result<Option<[ParamSpec; 2]>, OnnxError> {
        let Some(from) = at.node.inputs.first().map(|i| *i as usize).filter(|i| self.is_absorbed(*i)) else {
            return Ok(None);
        };
        let specs = self.graph.node_params(from);
        specs.try_into().map(Some).map_err(|_| self.lost(at))
    }

    /// Weight and bias of a 1x1 convolution, by output channel, over what is yet to be scaled and shifted.
    pub(super) fn weights_after(&mut self, at: &At, [gamma, beta]: [ParamSpec; 2]) -> Result<Vec<String>, OnnxError> {
        let specs = self.graph.node_params(at.index);
        let [weight, rest @ ..] = &specs[..] else { return Err(self.lost(at)) };
        let (values, gamma, beta) = (self.array(weight)?, self.array(&gamma)?, self.array(&beta)?);
        let bias = rest.first().map(|b| self.array(b)).transpose()?;
        let (mut scaled, mut shifts) = (Vec::with_capacity(values.len()), Vec::new());
        for (out, row) in values.chunks(gamma.len().max(1)).enumerate() {
            scaled.extend(row.iter().zip(gamma).map(|(w, g)| w * g));
            let shift: f64 = row.iter().zip(beta).map(|(w, b)| f64::from(*w) * f64::from(*b)).sum();
            shifts.push((f64::from(bias.map_or(0.0, |b| b[out])) + shift) as f32);
        }
        let name = |leaf: &str| format!("{}.{leaf}.normed", at.node.path);
        let weight = self.w.weights(&name("weight"), &weight.shape(), &scaled);
        let bias = self.w.weights(&name("bias"), &[shifts.len() as i64], &shifts);
        Ok(vec![weight, bias])
    }
}
