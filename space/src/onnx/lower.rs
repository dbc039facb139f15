//! The reading itself: each primitive operation as ONNX operators.

use super::proto::{Attribute, Graph as OnnxGraph, Size};
use super::writer::{Writer, border};
use super::{Arrays, Batch, INPUT, OUTPUT, OnnxError, Options};
use crate::ir::{ActFn, Graph, Groups, Node, Op, ParamSpec, distances};

pub(super) type Out = Result<String, OnnxError>;

/// A graph on its way to ONNX.
pub(super) struct Lower<'a> {
    pub(super) graph: &'a Graph,
    arrays: &'a Arrays,
    options: &'a Options,
    /// Whether linear layers over rows are matrix products of all rows at once.
    pub(super) rows_as_matrices: bool,
    pub(super) w: Writer,
    /// The ONNX value of each node.
    values: Vec<String>,
    /// Whether it has the batch in front, or 1 because it is the same for every image.
    batched: Vec<bool>,
    pub(super) readers: Vec<Vec<usize>>,
}

/// What one operation reads: its place, and the ONNX values of its inputs.
pub(super) struct At<'a> {
    pub(super) index: usize,
    pub(super) node: &'a Node,
    ins: Vec<String>,
}

impl At<'_> {
    pub(super) fn input(&self, index: usize) -> Result<&str, OnnxError> {
        let missing = || OnnxError::Input { at: self.node.path.to_string(), index };
        self.ins.get(index).map(String::as_str).ok_or_else(missing)
    }
}

/// Sizes as ONNX counts them.
pub(super) fn sizes(dims: &[u32]) -> Vec<i64> {
    dims.iter().map(|d| i64::from(*d)).collect()
}

/// What `Conv` says of its window, the same in both directions.
pub(super) fn window(group: i64, kernel: i64, stride: i64, pad: i64) -> Vec<Attribute> {
    vec![
        Attribute::int("group", group),
        Attribute::ints("kernel_shape", &[kernel; 2]),
        Attribute::ints("pads", &[pad; 4]),
        Attribute::ints("strides", &[stride; 2]),
    ]
}

impl<'a> Lower<'a> {
    pub(super) fn new(graph: &'a Graph, arrays: &'a Arrays, options: &'a Options) -> Lower<'a> {
        let mut readers = vec![Vec::new(); graph.nodes.len()];
        for (i, node) in graph.nodes.iter().enumerate() {
            for input in &node.inputs {
                readers[*input as usize].push(i);
            }
        }
        let (values, batched, w) = (Vec::new(), Vec::new(), Writer::new(options.float16));
        Lower { graph, arrays, options, rows_as_matrices: false, w, values, batched, readers }
    }

    /// Writes linear layers over rows as `Gemm` of all rows at once: it takes the bias in, which `MatMul` does not.
    pub(super) fn with_rows_as_matrices(self) -> Lower<'a> {
        Lower { rows_as_matrices: true, ..self }
    }

    pub(super) fn run(mut self) -> Result<OnnxGraph, OnnxError> {
        let graph = self.graph;
        self.values.push(INPUT.to_string());
        self.batched.push(true);
        for (index, node) in graph.nodes.iter().enumerate().skip(1) {
            let path = node.path.to_string().replace('.', "/");
            self.w.at(if path.is_empty() { "model".to_string() } else { path });
            let batched = node.inputs.iter().any(|i| self.batched[*i as usize]);
            let value = if self.comes_in_parts(index) {
                // Whoever reads a part writes it.
                String::new()
            } else {
                let ins = node.inputs.iter().map(|i| self.values[*i as usize].clone()).collect();
                self.node(&At { index, node, ins })?
            };
            self.values.push(value);
            self.batched.push(batched);
            if index == graph.output {
                self.name_output(index);
            }
        }
        let batch = || match self.options.batch {
            Batch::Fixed(n) => Size::Value(i64::from(n)),
            Batch::Dynamic => Size::Param("batch".to_string()),
        };
        let input = border(INPUT, batch(), &graph.input().dims);
        let output = border(OUTPUT, batch(), &graph.nodes[graph.output].value.dims);
        Ok(self.w.finish("network", input, output))
    }

    fn name_output(&mut self, index: usize) {
        // A node that became none shares its input's name, which others may read.
        if matches!(self.graph.nodes[index].op, Op::Dropout { .. } | Op::DropPath { .. }) {
            let value = self.values[index].clone();
            self.w.node("Identity", &[&value], vec![]);
        }
        self.w.rename_last(OUTPUT);
        self.values[index] = OUTPUT.to_string();
    }

    /// The ONNX value of a node.
    pub(super) fn value(&self, index: usize) -> String {
        self.values[index].clone()
    }

    /// The values of one of a node's tensors.
    pub(super) fn array(&self, spec: &ParamSpec) -> Result<&'a [f32], OnnxError> {
        let found = self.arrays.get(&spec.name).map_or(&[][..], Vec::as_slice);
        let expected = spec.elements() as usize;
        match found.len() == expected {
            true => Ok(found),
            false => Err(OnnxError::Array { name: spec.name.clone(), found: found.len(), expected }),
        }
    }

    /// A tensor as it is.
    pub(super) fn weight(&mut self, spec: &ParamSpec) -> Out {
        let values = self.array(spec)?;
        Ok(self.w.weights(&spec.name, &spec.shape(), values))
    }

    pub(super) fn all_weights(&mut self, index: usize) -> Result<Vec<String>, OnnxError> {
        let specs = self.graph.node_params(index);
        specs.iter().filter(|p| p.role != crate::ir::Role::Counter).map(|p| self.weight(p)).collect()
    }

    pub(super) fn reshape(&mut self, x: &str, shape: &[i64]) -> String {
        let shape = self.w.ints(shape);
        self.w.node("Reshape", &[x, &shape], vec![])
    }

    pub(super) fn transpose(&mut self, x: &str, perm: &[i64]) -> String {
        self.w.node("Transpose", &[x], vec![Attribute::ints("perm", perm)])
    }

    fn node(&mut self, at: &At) -> Out {
        let value = &at.node.value;
        match &at.node.op {
            Op::Input => Ok(INPUT.to_string()),
            Op::Conv { .. } => self.conv(at),
            Op::BatchNorm | Op::LayerNorm { .. } | Op::GroupNorm => self.norm(at),
            Op::Linear { .. } => self.linear(at),
            Op::Act(f) => self.act(*f, at.input(0)?),
            Op::AvgPool { .. } | Op::GlobalPool { .. } => self.pool(at),
            Op::Resize { .. } => self.resize(at),
            Op::Unfold { .. } | Op::Fold { .. } | Op::Flatten => self.patches(at),
            Op::Slice { start, len } => match self.part(at)? {
                Some(part) => Ok(part),
                None => Ok(self.slice(at.input(0)?, 1 + value.axis as i64, *start, *len)),
            },
            Op::SliceHeads { .. } => self.slice_heads(at),
            Op::Concat => self.concat(at, 1 + value.axis as i64),
            Op::ConcatRows => self.concat(at, value.axis as i64),
            Op::Row { index } => {
                let index = self.w.int(i64::from(*index));
                Ok(self.w.node("Gather", &[at.input(0)?, &index], vec![Attribute::int("axis", 1)]))
            }
            Op::Add => Ok(self.w.node("Add", &[at.input(0)?, at.input(1)?], vec![])),
            Op::Sub => Ok(self.w.node("Sub", &[at.input(0)?, at.input(1)?], vec![])),
            Op::Mul => Ok(self.w.node("Mul", &[at.input(0)?, at.input(1)?], vec![])),
            Op::Mean => {
                let (sum, half) = (self.w.node("Add", &[at.input(0)?, at.input(1)?], vec![]), self.w.number(0.5));
                Ok(self.w.node("Mul", &[&sum, &half], vec![]))
            }
            Op::SumWidth => {
                let axes = self.w.ints(&[-1]);
                Ok(self.w.node("ReduceSum", &[at.input(0)?, &axes], vec![Attribute::int("keepdims", 1)]))
            }
            Op::Softmax => Ok(self.w.node("Softmax", &[at.input(0)?], vec![Attribute::int("axis", -1)])),
            Op::InvSqrt { n } => {
                let factor = self.w.number(f64::from(*n).powf(-0.5) as f32);
                Ok(self.w.node("Mul", &[at.input(0)?, &factor], vec![]))
            }
            Op::Attention { heads, key_dim } => self.attention(at, i64::from(*heads), i64::from(*key_dim)),
            Op::SplitHeads { .. } | Op::MergeHeads { .. } => self.heads(at),
            Op::MatMul => Ok(self.w.node("MatMul", &[at.input(0)?, at.input(1)?], vec![])),
            Op::ChannelScale { .. } => self.channel_scale(at),
            Op::BiasTable { .. } => self.bias_table(at),
            Op::Learnt { .. } => {
                let spec = self.only_tensor(at)?;
                self.weight(&spec)
            }
            Op::Dropout { .. } | Op::DropPath { .. } => Ok(at.input(0)?.to_string()),
        }
    }

    /// The error of an operation whose tensors are not those it should own.
    pub(super) fn lost(&self, at: &At) -> OnnxError {
        OnnxError::Array { name: at.node.path.to_string(), found: 0, expected: 1 }
    }

    /// The first tensor of a node that owns one.
    fn only_tensor(&self, at: &At) -> Result<ParamSpec, OnnxError> {
        self.graph.node_params(at.index).into_iter().next().ok_or_else(|| self.lost(at))
    }

    fn conv(&mut self, at: &At) -> Out {
        let weights = match self.shared_norm(at)? {
            Some(norm) => self.weights_after(at, norm)?,
            None => self.all_weights(at.index)?,
        };
        let from = at.node.inputs.first().map_or(0, |i| *i as usize);
        let Op::Conv { kernel, stride, pad, groups, .. } = &self.graph.nodes[at.index].op else {
            return Err(self.lost(at));
        };
        let group = if *groups == Groups::Depthwise { i64::from(self.graph.nodes[from].value.channels()) } else { 1 };
        let [kernel, stride, pad] = [kernel, stride, pad].map(|v| i64::from(*v));
        let mut ins = vec![at.input(0)?];
        ins.extend(weights.iter().map(String::as_str));
        Ok(self.w.node("Conv", &ins, window(group, kernel, stride, pad)))
    }

    /// One number for each channel, shaped to meet the value of a node.
    pub(super) fn channelwise(&mut self, spec: &ParamSpec, at: &At) -> Out {
        let value = &at.node.value;
        let mut shape = vec![1; value.dims.len() - value.axis];
        shape[0] = i64::from(value.channels());
        let values = self.array(spec)?;
        Ok(self.w.weights(&spec.name, &shape, values))
    }

    fn channel_scale(&mut self, at: &At) -> Out {
        let gamma = self.only_tensor(at)?;
        let gamma = self.channelwise(&gamma, at)?;
        Ok(self.w.node("Mul", &[at.input(0)?, &gamma], vec![]))
    }

    fn bias_table(&mut self, at: &At) -> Out {
        let Op::BiasTable { h, w, stride, .. } = at.node.op else { return Err(self.lost(at)) };
        let table = self.only_tensor(at)?;
        let (values, row) = (self.array(&table)?, (h * w) as usize);
        let index = distances(h, w, stride);
        let picked: Vec<f32> =
            values.chunks(row.max(1)).flat_map(|head| index.iter().map(|i| head[*i as usize])).collect();
        let shape: Vec<i64> = std::iter::once(1).chain(sizes(&at.node.value.dims)).collect();
        Ok(self.w.weights(&format!("{}.by_position", table.name), &shape, &picked))
    }

    fn act(&mut self, f: ActFn, x: &str) -> Out {
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

    fn pool(&mut self, at: &At) -> Out {
        let (x, value) = (at.input(0)?, &at.node.value);
        let from = at.node.inputs.first().map(|i| &self.graph.nodes[*i as usize].value);
        match &at.node.op {
            Op::AvgPool { kernel, stride, pad } => {
                let [kernel, stride, pad] = [kernel, stride, pad].map(|v| i64::from(*v));
                let attributes = vec![
                    Attribute::int("count_include_pad", 0),
                    Attribute::ints("kernel_shape", &[kernel; 2]),
                    Attribute::ints("pads", &[pad; 4]),
                    Attribute::ints("strides", &[stride; 2]),
                ];
                Ok(self.w.node("AveragePool", &[x], attributes))
            }
            Op::GlobalPool { keep } if from.is_some_and(|v| v.hw().is_some()) => {
                let pooled = self.w.node("GlobalAveragePool", &[x], vec![]);
                match *keep || self.stays_map(at.index) {
                    true => Ok(pooled),
                    false => Ok(self.flat(&pooled)),
                }
            }
            _ => {
                let axes = self.w.ints(&[1]);
                let pooled = self.w.node("ReduceMean", &[x, &axes], vec![Attribute::int("keepdims", 0)]);
                match value.hw() {
                    Some(_) => Ok(self.reshape(&pooled, &[0, i64::from(value.channels()), 1, 1])),
                    None => Ok(pooled),
                }
            }
        }
    }

    /// Whether a map's average over its pixels stays a map of one pixel, since all that reads it are linear layers, which are
    /// then convolutions: for one image these are quicker in ONNX Runtime than products of matrices. For several images they
    /// are not, each would read the weights anew; and int8 has its own linear layers.
    pub(super) fn stays_map(&self, index: usize) -> bool {
        let node = &self.graph.nodes[index];
        let of_map = || node.inputs.first().is_some_and(|i| self.graph.nodes[*i as usize].value.hw().is_some());
        let one_image = !self.rows_as_matrices && matches!(self.options.batch, Batch::Fixed(1));
        match node.op {
            Op::GlobalPool { keep: false } => one_image && of_map() && self.feeds_linear_only(index),
            Op::Dropout { .. } | Op::DropPath { .. } => {
                node.inputs.first().is_some_and(|i| self.stays_map(*i as usize))
            }
            _ => false,
        }
    }

    fn feeds_linear_only(&self, index: usize) -> bool {
        let linear = |r: &usize| match self.graph.nodes[*r].op {
            Op::Linear { .. } => !self.comes_in_parts(*r),
            Op::Dropout { .. } | Op::DropPath { .. } => self.feeds_linear_only(*r),
            _ => false,
        };
        index != self.graph.output && self.readers[index].iter().all(linear)
    }

    pub(super) fn flat(&mut self, map: &str) -> String {
        self.w.node("Flatten", &[map], vec![Attribute::int("axis", 1)])
    }

    fn concat(&mut self, at: &At, axis: i64) -> Out {
        let mixed = at.node.inputs.iter().any(|i| self.batched[*i as usize]);
        let mut ins = Vec::new();
        for (k, from) in at.node.inputs.iter().enumerate() {
            let (x, from) = (at.input(k)?.to_string(), *from as usize);
            ins.push(if mixed && !self.batched[from] { self.repeated(&x, from) } else { x });
        }
        let ins: Vec<&str> = ins.iter().map(String::as_str).collect();
        Ok(self.w.node("Concat", &ins, vec![Attribute::int("axis", axis)]))
    }

    /// What is the same for every image, once for each.
    fn repeated(&mut self, x: &str, from: usize) -> String {
        let dims = sizes(&self.graph.nodes[from].value.dims);
        let shape = match self.options.batch {
            Batch::Fixed(1) => return x.to_string(),
            Batch::Fixed(n) => {
                let shape: Vec<i64> = std::iter::once(i64::from(n)).chain(dims).collect();
                self.w.ints(&shape)
            }
            Batch::Dynamic => {
                let batch = vec![Attribute::int("start", 0), Attribute::int("end", 1)];
                let batch = self.w.node("Shape", &[INPUT], batch);
                let rest = self.w.ints(&dims);
                self.w.node("Concat", &[&batch, &rest], vec![Attribute::int("axis", 0)])
            }
        };
        self.w.node("Expand", &[x, &shape], vec![])
    }
}
