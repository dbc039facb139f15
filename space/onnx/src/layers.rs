//! Convolution, activations, pooling and concatenation in ONNX.

use mobilenas_space::ir::{ActFn, FOURIER_CHANNELS, Groups, Op, OpKind, ParamSpec, distances, fourier};

use super::lower::{Lowering, NodeCtx, OnnxValue, shape};
use super::options::{Batch, INPUT};
use super::proto::Attribute;

/// The attributes of a window: height and width, stride in both directions, rows and columns of padding on either side.
fn window(kernel: [u32; 2], stride: u32, [rows, columns]: [u32; 2]) -> [Attribute; 3] {
    [
        Attribute::ints("kernel_shape", &kernel.map(i64::from)),
        Attribute::ints("pads", &[rows, columns, rows, columns].map(i64::from)),
        Attribute::ints("strides", &[i64::from(stride); 2]),
    ]
}

/// The attributes of a convolution. Dilation is told where there is one: the operator's own is 1.
pub(super) fn conv_attributes(
    group: u32,
    kernel: [u32; 2],
    [stride, dilation]: [u32; 2],
    pad: [u32; 2],
) -> Vec<Attribute> {
    let apart = (dilation != 1).then(|| Attribute::ints("dilations", &[i64::from(dilation); 2]));
    let group = Attribute::int("group", i64::from(group));
    apart.into_iter().chain([group]).chain(window(kernel, stride, pad)).collect()
}

impl Lowering<'_> {
    /// `sizes` are kernel, stride, padding and dilation.
    pub(super) fn conv(&mut self, at: &NodeCtx, sizes: [u32; 4], groups: Groups) -> OnnxValue {
        let [kernel, stride, pad, dilation] = sizes;
        let source = self.source(at.index).unwrap_or(0);
        if self.graph.nodes[source].op == Op::Fourier {
            return self.projected_positions(at);
        }
        let weights = match self.folded_norm(at) {
            Some(norm) => self.weights_after(at, &norm)?,
            None => self.all_weights(at.index)?,
        };
        let group = groups.count(self.graph.nodes[source].value.channels());
        let (kernel, pad) = (groups.pair(kernel, 1), groups.pair(pad, 0));
        let mut inputs = vec![at.input(0)?];
        inputs.extend(weights.iter().map(String::as_str));
        Ok(self.w.node("Conv", &inputs, conv_attributes(group, kernel, [stride, dilation], pad)))
    }

    pub(super) fn conv_transpose(&mut self, at: &NodeCtx, kernel: u32) -> OnnxValue {
        let weights = self.all_weights(at.index)?;
        let mut inputs = vec![at.input(0)?];
        inputs.extend(weights.iter().map(String::as_str));
        let sides = [i64::from(kernel); 2];
        let attributes = vec![Attribute::ints("kernel_shape", &sides), Attribute::ints("strides", &sides)];
        Ok(self.w.node("ConvTranspose", &inputs, attributes))
    }

    /// The 1x1 convolution of the encodings of positions, computed once, at export.
    fn projected_positions(&mut self, at: &NodeCtx) -> OnnxValue {
        let (h, w) = at.node.value.hw().ok_or_else(|| at.wrong_shape("other axes", "a map CxHxW"))?;
        let specs = self.graph.node_params(at.index);
        let [weight, rest @ ..] = &specs[..] else { return Err(at.wrong_tensors()) };
        let (values, encodings, places) = (self.array(weight)?, fourier(h, w), (h * w) as usize);
        let bias = rest.first().map(|b| self.array(b)).transpose()?;
        let mut all = Vec::with_capacity(at.node.value.elements() as usize);
        for (c, row) in values.chunks(FOURIER_CHANNELS as usize).enumerate() {
            let start = f64::from(bias.map_or(0.0, |b| b[c]));
            let at_place = |p: usize| {
                let product = |(k, w): (usize, &f32)| f64::from(*w) * f64::from(encodings[k * places + p]);
                (start + row.iter().enumerate().map(product).sum::<f64>()) as f32
            };
            all.extend((0..places).map(at_place));
        }
        let name = format!("{}.at_positions", at.node.path);
        Ok(self.w.weights(&name, &shape([1], &at.node.value.dims), &all))
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
    pub(super) fn avg_pool(&mut self, at: &NodeCtx, [kernel, stride, pad]: [u32; 3]) -> OnnxValue {
        let window = window([kernel; 2], stride, [pad; 2]);
        let attributes = std::iter::once(Attribute::int("count_include_pad", 0)).chain(window).collect();
        Ok(self.w.node("AveragePool", &[at.input(0)?], attributes))
    }

    /// `sizes` are kernel, stride and padding.
    pub(super) fn max_pool(&mut self, at: &NodeCtx, [kernel, stride, pad]: [u32; 3]) -> OnnxValue {
        Ok(self.w.node("MaxPool", &[at.input(0)?], window([kernel; 2], stride, [pad; 2]).to_vec()))
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
                false => self.classifiers.hold(*r) || matches!(op, Op::Linear { .. }) && !self.is_split(*r),
            }
        };
        !self.is_output(index) && self.readers[index].iter().all(linear)
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
