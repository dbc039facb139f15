//! Convolution, activations, pooling and concatenation in ONNX.

use super::lower::{Lowering, NodeCtx, OnnxValue, shape};
use super::options::{Batch, INPUT};
use super::proto::Attribute;
use crate::ir::{ActFn, Groups, Op, OpKind, ParamSpec, distances};

/// The attributes of a window of the same size, stride and padding in both directions.
pub(super) fn window([kernel, stride, pad]: [u32; 3]) -> [Attribute; 3] {
    [
        Attribute::ints("kernel_shape", &[i64::from(kernel); 2]),
        Attribute::ints("pads", &[i64::from(pad); 4]),
        Attribute::ints("strides", &[i64::from(stride); 2]),
    ]
}

/// The attributes of a convolution.
pub(super) fn conv_attributes(group: u32, sizes: [u32; 3]) -> Vec<Attribute> {
    std::iter::once(Attribute::int("group", i64::from(group))).chain(window(sizes)).collect()
}

impl Lowering<'_> {
    /// `sizes` are kernel, stride and padding.
    pub(super) fn conv(&mut self, at: &NodeCtx, sizes: [u32; 3], groups: Groups) -> OnnxValue {
        let weights = match self.folded_norm(at)? {
            Some(norm) => self.weights_after(at, norm)?,
            None => self.all_weights(at.index)?,
        };
        let source = self.source(at.index).unwrap_or(0);
        let group = if groups == Groups::Depthwise { self.graph.nodes[source].value.channels() } else { 1 };
        let mut inputs = vec![at.input(0)?];
        inputs.extend(weights.iter().map(String::as_str));
        Ok(self.w.node("Conv", &inputs, conv_attributes(group, sizes)))
    }

    /// One number for each channel, shaped to broadcast to the value of a node.
    pub(super) fn channelwise(&mut self, spec: &ParamSpec, at: &NodeCtx) -> OnnxValue {
        let value = &at.node.value;
        let mut shape = vec![1; value.dims.len() - value.axis];
        shape[0] = i64::from(value.channels());
        let values = self.array(spec)?;
        Ok(self.w.weights(&spec.name, &shape, values))
    }

    pub(super) fn channel_scale(&mut self, at: &NodeCtx) -> OnnxValue {
        let gamma = self.only_tensor(at)?;
        let gamma = self.channelwise(&gamma, at)?;
        Ok(self.w.node("Mul", &[at.input(0)?, &gamma], vec![]))
    }

    /// The table gathered once, at export, for a grid of keys of `h` x `w`.
    pub(super) fn bias_table(&mut self, at: &NodeCtx, (h, w): (u32, u32), stride: u32) -> OnnxValue {
        let table = self.only_tensor(at)?;
        let (values, row) = (self.array(&table)?, (h * w) as usize);
        let index = distances(h, w, stride);
        let gathered: Vec<f32> =
            values.chunks(row.max(1)).flat_map(|head| index.iter().map(|i| head[*i as usize])).collect();
        Ok(self.w.weights(&format!("{}.by_position", table.name), &shape([1], &at.node.value.dims), &gathered))
    }

    pub(super) fn act(&mut self, f: ActFn, x: &str) -> OnnxValue {
        Ok(match f {
            ActFn::Relu => self.w.node("Relu", &[x], vec![]),
            ActFn::Relu6 => {
                let (low, high) = (self.w.number(0.0), self.w.number(6.0));
                self.w.node("Clip", &[x, &low, &high], vec![])
            }
            ActFn::Silu => {
                let gate = self.w.node("Sigmoid", &[x], vec![]);
                self.w.node("Mul", &[x, &gate], vec![])
            }
            ActFn::Gelu => self.w.node("Gelu", &[x], vec![]),
            ActFn::Sigmoid => self.w.node("Sigmoid", &[x], vec![]),
            ActFn::HardSigmoid => {
                let sixth = Attribute::float("alpha", 1.0 / 6.0);
                self.w.node("HardSigmoid", &[x], vec![sixth, Attribute::float("beta", 0.5)])
            }
            ActFn::HardSwish => self.w.node("HardSwish", &[x], vec![]),
        })
    }

    /// `sizes` are kernel, stride and padding.
    pub(super) fn avg_pool(&mut self, at: &NodeCtx, sizes: [u32; 3]) -> OnnxValue {
        let attributes = std::iter::once(Attribute::int("count_include_pad", 0)).chain(window(sizes)).collect();
        Ok(self.w.node("AveragePool", &[at.input(0)?], attributes))
    }

    pub(super) fn global_pool(&mut self, at: &NodeCtx, keep: bool) -> OnnxValue {
        let (x, value) = (at.input(0)?, &at.node.value);
        if self.reads_map(at.index) {
            let pooled = self.w.node("GlobalAveragePool", &[x], vec![]);
            return Ok(if keep || self.stays_map(at.index) { pooled } else { self.flatten(&pooled) });
        }
        let axes = self.w.ints(&[1]);
        let pooled = self.w.node("ReduceMean", &[x, &axes], vec![Attribute::int("keepdims", 0)]);
        match value.hw() {
            Some(_) => Ok(self.reshape(&pooled, &[0, i64::from(value.channels()), 1, 1])),
            None => Ok(pooled),
        }
    }

    fn reads_map(&self, index: usize) -> bool {
        self.source(index).is_some_and(|i| self.graph.nodes[i].value.hw().is_some())
    }

    /// Whether a map's mean over its pixels stays a map of one pixel: when only linear layers read it. They are then written
    /// as convolutions, which ONNX Runtime computes faster than matrix products for one image. Not for several images, where
    /// a convolution reads its weights once for each; not in int8, which has linear layers of its own.
    pub(super) fn stays_map(&self, index: usize) -> bool {
        let op = &self.graph.nodes[index].op;
        if op.kind() == OpKind::Dropout {
            return self.source(index).is_some_and(|i| self.stays_map(i));
        }
        let one_image = !self.linear_as_gemm && matches!(self.options.batch, Batch::Fixed(1));
        *op == Op::GlobalPool { keep: false } && one_image && self.reads_map(index) && self.feeds_linear_only(index)
    }

    fn feeds_linear_only(&self, index: usize) -> bool {
        let linear = |r: &usize| {
            let op = &self.graph.nodes[*r].op;
            match op.kind() == OpKind::Dropout {
                true => self.feeds_linear_only(*r),
                false => matches!(op, Op::Linear { .. }) && !self.is_split(*r),
            }
        };
        index != self.graph.output && self.readers[index].iter().all(linear)
    }

    pub(super) fn flatten(&mut self, map: &str) -> String {
        self.w.node("Flatten", &[map], vec![Attribute::int("axis", 1)])
    }

    pub(super) fn concat(&mut self, at: &NodeCtx, axis: i64) -> OnnxValue {
        let mixed = at.node.inputs.iter().any(|i| self.batched[*i as usize]);
        let mut inputs = Vec::new();
        for (k, from) in at.node.inputs.iter().enumerate() {
            let (x, from) = (at.input(k)?.to_string(), *from as usize);
            inputs.push(if mixed && !self.batched[from] { self.expanded(&x, from) } else { x });
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        Ok(self.w.node("Concat", &inputs, vec![Attribute::int("axis", axis)]))
    }

    /// A value that is the same for every image, repeated along the batch axis.
    fn expanded(&mut self, x: &str, from: usize) -> String {
        let dims = &self.graph.nodes[from].value.dims;
        let shape = match self.options.batch {
            Batch::Fixed(1) => return x.to_string(),
            Batch::Fixed(n) => self.w.ints(&shape([i64::from(n)], dims)),
            Batch::Dynamic => {
                let batch = vec![Attribute::int("start", 0), Attribute::int("end", 1)];
                let batch = self.w.node("Shape", &[INPUT], batch);
                let rest = self.w.ints(&shape([], dims));
                self.w.node("Concat", &[&batch, &rest], vec![Attribute::int("axis", 0)])
            }
        };
        self.w.node("Expand", &[x, &shape], vec![])
    }
}
