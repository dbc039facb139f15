//! Linear layers in ONNX. A layer that is read only in slices becomes a layer for each slice.

use mobilenas_space::ir::{Op, ParamSpec, offsets};

use super::error::OnnxError;
use super::layers::conv_attributes;
use super::lower::{Lowering, NodeCtx, OnnxValue, shape};

/// Some rows of a matrix `[_, width]`, times a factor.
fn select_rows(values: &[f32], width: usize, rows: &[usize], factor: f32) -> Vec<f32> {
    let row = |r: &usize| values[r * width..(r + 1) * width].iter().map(move |v| v * factor);
    rows.iter().flat_map(row).collect()
}

/// `[rows, columns]` to `[columns, rows]`.
pub(super) fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len() / columns.max(1);
    (0..columns).flat_map(|c| (0..rows).map(move |r| values[r * columns + c])).collect()
}

/// The factor of an attention's logits.
pub(super) fn attention_scale(key_dim: u32) -> f32 {
    f64::from(key_dim).powf(-0.5) as f32
}

/// Some output channels of a linear layer.
struct ChannelSlice<'p, 'n> {
    at: &'p NodeCtx<'n>,
    /// The layer's input.
    x: &'p str,
    rows: &'p [usize],
    /// The name of the slice; empty for the whole layer.
    name: &'p str,
    /// A factor on weights and bias.
    factor: f32,
}

impl Lowering<'_> {
    fn is_slice(&self, index: usize) -> bool {
        matches!(self.graph.nodes[index].op, Op::Slice { .. } | Op::SliceHeads { .. })
    }

    /// Whether a linear layer is read only in slices. Each slice then becomes a layer with the rows of the weights that
    /// make it: slicing weights once, at export, is cheaper than slicing activations each time.
    pub(super) fn is_split(&self, index: usize) -> bool {
        let linear = matches!(self.graph.nodes[index].op, Op::Linear { .. }) && !self.is_output(index);
        linear && !self.readers[index].is_empty() && self.readers[index].iter().all(|r| self.is_slice(*r))
    }

    /// The layer that makes a slice, if the slice's input is a split layer. `rows` are the slice's channels.
    pub(super) fn linear_slice(
        &mut self,
        at: &NodeCtx,
        rows: &[usize],
        name: String,
    ) -> Result<Option<String>, OnnxError> {
        let Some(layer) = self.source(at.index).filter(|i| self.is_split(*i)) else { return Ok(None) };
        let x = self.value(self.source(layer).unwrap_or(0));
        let specs = self.graph.node_params(layer);
        let factor = self.query_factor(at.index);
        let name = if factor == 1.0 { name } else { format!("{name}.scaled") };
        self.linear_rows(&specs, &ChannelSlice { at, x: &x, rows, name: &name, factor }).map(Some)
    }

    /// `key_dim^-0.5` for a slice that is read only as an attention's queries, so that the weights hold the factor; else 1.
    fn query_factor(&self, index: usize) -> f32 {
        let [reader] = self.readers[index][..] else { return 1.0 };
        let reader = &self.graph.nodes[reader];
        if let Op::Attention { key_dim, .. } = reader.op
            && reader.inputs.first() == Some(&(index as u32))
        {
            return attention_scale(key_dim);
        }
        1.0
    }

    /// Whether the weights that make an attention's queries hold its factor.
    pub(super) fn holds_factor(&self, index: usize) -> bool {
        let split = self.source(index).is_some_and(|i| self.is_split(i));
        self.is_slice(index) && self.readers[index].len() == 1 && split
    }

    pub(super) fn linear(&mut self, at: &NodeCtx) -> OnnxValue {
        let specs = self.graph.node_params(at.index);
        if self.source(at.index).is_some_and(|i| self.stays_map(i)) {
            return self.linear_as_conv(at, &specs);
        }
        if let Some(Op::Offsets { h, w }) = self.source(at.index).map(|i| self.graph.nodes[i].op.clone()) {
            return self.projected_offsets(at, &specs, (h, w));
        }
        let rows: Vec<usize> = (0..at.node.value.channels() as usize).collect();
        self.linear_rows(&specs, &ChannelSlice { at, x: at.input(0)?, rows: &rows, name: "", factor: 1.0 })
    }

    /// The linear layer of the offsets between positions, computed once, at export.
    fn projected_offsets(&mut self, at: &NodeCtx, specs: &[ParamSpec], (h, w): (u32, u32)) -> OnnxValue {
        let [weight, rest @ ..] = specs else { return Err(at.wrong_tensors()) };
        let values = self.array(weight)?;
        let bias = rest.first().map(|b| self.array(b)).transpose()?;
        let product = |row: &[f32], offset: &[f32]| -> f64 {
            row.iter().zip(offset).map(|(w, o)| f64::from(*w) * f64::from(*o)).sum()
        };
        let mut all = Vec::with_capacity(at.node.value.elements() as usize);
        for offset in offsets(h, w).chunks(3) {
            for (c, row) in values.chunks(3).enumerate() {
                all.push((f64::from(bias.map_or(0.0, |b| b[c])) + product(row, offset)) as f32);
            }
        }
        let name = format!("{}.at_offsets", at.node.path);
        Ok(self.w.weights(&name, &shape([1], &at.node.value.dims), &all))
    }

    /// A linear layer on a map of one pixel, as a convolution.
    fn linear_as_conv(&mut self, at: &NodeCtx, specs: &[ParamSpec]) -> OnnxValue {
        let [weight, rest @ ..] = specs else { return Err(at.wrong_tensors()) };
        let shape = [&weight.shape()[..], &[1, 1]].concat();
        let values = self.array(weight)?;
        let weight = self.w.weights(&format!("{}.pixel", weight.name), &shape, values);
        let bias = rest.first().map(|b| self.weight(b)).transpose()?;
        let inputs: Vec<&str> = [at.input(0)?, &weight].into_iter().chain(bias.as_deref()).collect();
        let map = self.w.node("Conv", &inputs, conv_attributes(1, [1; 2], [1; 2], [0; 2]));
        Ok(self.flatten(&map))
    }

    fn linear_rows(&mut self, specs: &[ParamSpec], s: &ChannelSlice) -> OnnxValue {
        let [weight, rest @ ..] = specs else { return Err(s.at.wrong_tensors()) };
        let (width, dot) = (weight.shape()[1], if s.name.is_empty() { "" } else { "." });
        let values = transposed(&select_rows(self.array(weight)?, width as usize, s.rows, s.factor), width as usize);
        let name = format!("{}{dot}{}.transposed", weight.name, s.name);
        let weight = self.w.weights(&name, &[width, s.rows.len() as i64], &values);
        let bias = match rest.first() {
            Some(bias) => {
                let values = select_rows(self.array(bias)?, 1, s.rows, s.factor);
                Some(self.w.weights(&format!("{}{dot}{}", bias.name, s.name), &[s.rows.len() as i64], &values))
            }
            None => None,
        };
        let dims = &s.at.node.value.dims;
        if let (1, Some(bias)) = (dims.len(), &bias) {
            return Ok(self.w.node("Gemm", &[s.x, &weight, bias], vec![]));
        }
        if self.linear_as_gemm {
            let x = self.reshape(s.x, &[-1, width]);
            let inputs: Vec<&str> = [x.as_str(), &weight].into_iter().chain(bias.as_deref()).collect();
            let out = self.w.node("Gemm", &inputs, vec![]);
            return Ok(self.reshape(&out, &shape([-1], dims)));
        }
        let out = self.w.node("MatMul", &[s.x, &weight], vec![]);
        Ok(bias.map_or(out.clone(), |b| self.w.node("Add", &[&out, &b], vec![])))
    }
}
