//! Classifiers in ONNX: what is an affine function of one vector is one layer.

use mobilenas_space::ir::ParamSpec;

use super::classifiers::Head;
use super::error::OnnxError;
use super::layers::conv_attributes;
use super::linear::transposed;
use super::lower::{Lowering, NodeCtx, OnnxValue};

impl Lowering<'_> {
    /// The one layer that a node stands for, if it stands for others.
    pub(super) fn classifier(&mut self, at: &NodeCtx) -> Result<Option<String>, OnnxError> {
        let heads = self.classifiers.made_of(at.index);
        let Some(first) = heads.first() else { return Ok(None) };
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for head in &heads {
            let (own_weight, own_bias) = self.affine(at, head)?;
            let share = 1.0 / heads.len() as f64;
            let add = |sum: &mut Vec<f64>, own: Vec<f64>| {
                sum.resize(own.len(), 0.0);
                sum.iter_mut().zip(own).for_each(|(a, b)| *a += share * b);
            };
            add(&mut weight, own_weight);
            add(&mut bias, own_bias);
        }
        let [weight, bias] = [weight, bias].map(|values| values.into_iter().map(|v| v as f32).collect::<Vec<f32>>());
        let name = self.graph.nodes[first.linear].path.to_string();
        let out = self.affine_layer(&name, (&weight, &bias), first.reads)?;
        Ok(Some(out))
    }

    fn affine_layer(&mut self, name: &str, (weight, bias): (&[f32], &[f32]), reads: usize) -> OnnxValue {
        let (rows, x) = (bias.len(), self.value(reads));
        let columns = weight.len() / rows.max(1);
        let [out, inner] = [rows, columns].map(|n| n as i64);
        let bias = self.w.weights(&format!("{name}.whole.bias"), &[out], bias);
        if self.stays_map(reads) {
            let weight = self.w.weights(&format!("{name}.whole.pixel"), &[out, inner, 1, 1], weight);
            let map = self.w.node("Conv", &[&x, &weight, &bias], conv_attributes(1, [1; 2], [1; 2], [0; 2]));
            return Ok(self.flatten(&map));
        }
        let weight = self.w.weights(&format!("{name}.whole.transposed"), &[inner, out], &transposed(weight, columns));
        Ok(self.w.node("Gemm", &[&x, &weight, &bias], vec![]))
    }

    /// Weight and bias of a layer with its norm.
    fn affine(&self, at: &NodeCtx, head: &Head) -> Result<(Vec<f64>, Vec<f64>), OnnxError> {
        let exact = |spec: &ParamSpec| -> Result<Vec<f64>, OnnxError> {
            Ok(self.array(spec)?.iter().map(|v| f64::from(*v)).collect())
        };
        let specs = self.graph.node_params(head.linear);
        let [weight, bias] = &specs[..] else { return Err(at.wrong_tensors()) };
        let (mut weight, mut bias) = (exact(weight)?, exact(bias)?);
        if let Some(norm) = head.norm {
            let specs = self.graph.node_params(norm);
            let [gamma, beta, mean, variance, ..] = &specs[..] else { return Err(at.wrong_tensors()) };
            let [gamma, beta, mean, variance] = [exact(gamma)?, exact(beta)?, exact(mean)?, exact(variance)?];
            let scale: Vec<f64> =
                gamma.iter().zip(&variance).map(|(g, v)| g / (v + self.graph.bn_eps()).sqrt()).collect();
            for (row, b) in weight.chunks_mut(scale.len().max(1)).zip(&mut bias) {
                for (c, w) in row.iter_mut().enumerate() {
                    *b += *w * (beta[c] - mean[c] * scale[c]);
                    *w *= scale[c];
                }
            }
        }
        Ok((weight, bias))
    }
}
