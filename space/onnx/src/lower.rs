//! The lowering: visits the graph's operations in order and writes each as ONNX operators.

use mobilenas_space::ir::{Graph, Node, Op, OpKind, ParamSpec, Readers, Role};

use super::classifiers::Classifiers;
use super::error::OnnxError;
use super::options::{Arrays, Batch, INPUT, Options, input_name};
use super::proto::{Attribute, Graph as OnnxGraph, Size, kind};
use super::writer::{Writer, value_info};

/// The name of an ONNX value.
pub(super) type OnnxValue = Result<String, OnnxError>;

/// A graph under lowering.
pub(super) struct Lowering<'a> {
    pub(super) graph: &'a Graph,
    arrays: &'a Arrays,
    pub(super) options: &'a Options,
    /// Whether a linear layer over rows is one `Gemm` over the rows of all images.
    pub(super) linear_as_gemm: bool,
    pub(super) w: Writer,
    /// The ONNX value of each node; empty for a linear layer that is written slice by slice, and inside a classifier.
    values: Vec<String>,
    /// Whether a node's value has the batch axis, or 1 there because it is the same for every image.
    pub(super) batched: Vec<bool>,
    pub(super) readers: Readers,
    pub(super) classifiers: Classifiers,
}

/// The node under lowering, with the ONNX values of its inputs.
pub(super) struct NodeCtx<'a> {
    pub(super) index: usize,
    pub(super) node: &'a Node,
    inputs: Vec<String>,
}

impl NodeCtx<'_> {
    pub(super) fn input(&self, index: usize) -> Result<&str, OnnxError> {
        let missing = || OnnxError::Input { at: self.node.path.to_string(), index };
        self.inputs.get(index).map(String::as_str).ok_or_else(missing)
    }

    /// The error of a node whose tensors are not those of its operation.
    pub(super) fn wrong_tensors(&self) -> OnnxError {
        OnnxError::Tensors { at: self.node.path.to_string() }
    }

    pub(super) fn wrong_shape(&self, found: impl ToString, expected: &'static str) -> OnnxError {
        OnnxError::Shape { at: self.node.path.to_string(), found: found.to_string(), expected }
    }
}

/// Whether a value is the same for every image though it is computed from a map.
fn same_for_all(op: &Op) -> bool {
    op.kind() == OpKind::Parameter
}

/// A shape as ONNX counts: `leading`, then the sizes without the batch.
pub(super) fn shape(leading: impl IntoIterator<Item = i64>, dims: &[u32]) -> Vec<i64> {
    leading.into_iter().chain(dims.iter().map(|d| i64::from(*d))).collect()
}

impl<'a> Lowering<'a> {
    pub(super) fn new(graph: &'a Graph, arrays: &'a Arrays, options: &'a Options) -> Lowering<'a> {
        let (values, batched, w) = (Vec::new(), Vec::new(), Writer::new(options.float16));
        let (readers, classifiers) = (graph.readers(), Classifiers::default());
        Lowering { graph, arrays, options, linear_as_gemm: false, w, values, batched, readers, classifiers }
    }

    /// Writes linear layers over rows as `Gemm`: it has a bias, which `MatMul` has not.
    pub(super) fn with_linear_as_gemm(self) -> Lowering<'a> {
        Lowering { linear_as_gemm: true, ..self }
    }

    /// The ONNX graph, and the names of the weights that float16 does not hold.
    pub(super) fn run(mut self) -> Result<(OnnxGraph, Vec<String>), OnnxError> {
        let graph = self.graph;
        // In int8 linear layers have a form of their own.
        if !self.linear_as_gemm {
            self.classifiers = Classifiers::of(graph, &self.readers);
        }
        // A network has one; a block that stands alone may read several values.
        let inputs: Vec<_> = (0usize..).map(input_name).zip(graph.inputs()).collect();
        self.values.extend(inputs.iter().map(|(name, _)| name.clone()));
        self.batched.resize(inputs.len(), true);
        for (index, node) in graph.nodes.iter().enumerate().skip(inputs.len()) {
            let path = node.path.to_string().replace('.', "/");
            self.w.at(if path.is_empty() { "model".to_string() } else { path });
            let batched = !same_for_all(&node.op) && node.inputs.iter().any(|i| self.batched[*i as usize]);
            let value = if self.is_split(index) || self.classifiers.hold(index) {
                String::new()
            } else {
                let inputs = node.inputs.iter().map(|i| self.values[*i as usize].clone()).collect();
                let at = NodeCtx { index, node, inputs };
                match self.classifier(&at)? {
                    Some(value) => value,
                    None => self.node(&at)?,
                }
            };
            self.values.push(value);
            self.batched.push(batched);
            for output in graph.outputs.iter().filter(|o| o.node == index && self.options.detections.is_none()) {
                self.name_output(index, output.name);
            }
        }
        let batch = || match self.options.batch {
            Batch::Fixed(n) => Size::Value(i64::from(n)),
            Batch::Dynamic => Size::Param("batch".to_string()),
        };
        let inputs = inputs.iter().map(|(name, value)| value_info(name, kind::FLOAT, batch(), &value.dims)).collect();
        let own = |name, index: usize| value_info(name, kind::FLOAT, batch(), &graph.nodes[index].value.dims);
        let outputs = match &self.options.detections {
            Some(how) => self.detections(how)?,
            None => graph.outputs.iter().map(|o| own(o.name, o.node)).collect(),
        };
        self.w.finish("network", inputs, outputs)
    }

    fn name_output(&mut self, index: usize, name: &str) {
        // Dropout writes no operator: its value is its input's, which others may read under that name.
        if self.graph.nodes[index].op.kind() == OpKind::Dropout {
            let value = self.values[index].clone();
            self.w.node("Identity", &[&value], vec![]);
        }
        self.w.rename_last(name);
        self.values[index] = name.to_string();
    }

    /// Whether a node's value is an output of the file.
    pub(super) fn is_output(&self, index: usize) -> bool {
        self.graph.outputs.iter().any(|o| o.node == index)
    }

    /// The ONNX value of a node.
    pub(super) fn value(&self, index: usize) -> String {
        self.values[index].clone()
    }

    /// The node that makes a node's first input.
    pub(super) fn source(&self, index: usize) -> Option<usize> {
        self.graph.nodes[index].inputs.first().map(|i| *i as usize)
    }

    /// The elements of one of a node's tensors.
    pub(super) fn array(&self, spec: &ParamSpec) -> Result<&'a [f32], OnnxError> {
        let found = self.arrays.get(&spec.name).map_or(&[][..], Vec::as_slice);
        let expected = spec.elements() as usize;
        match found.len() == expected {
            true => Ok(found),
            false => Err(OnnxError::Array { name: spec.name.clone(), found: found.len(), expected }),
        }
    }

    /// A tensor as it is.
    pub(super) fn weight(&mut self, spec: &ParamSpec) -> OnnxValue {
        let values = self.array(spec)?;
        Ok(self.w.weights(&spec.name, &spec.shape(), values))
    }

    pub(super) fn all_weights(&mut self, index: usize) -> Result<Vec<String>, OnnxError> {
        let specs = self.graph.node_params(index);
        specs.iter().filter(|p| p.role != Role::Counter).map(|p| self.weight(p)).collect()
    }

    /// The first tensor of a node that owns one.
    pub(super) fn only_tensor(&self, at: &NodeCtx) -> Result<ParamSpec, OnnxError> {
        self.graph.node_params(at.index).into_iter().next().ok_or_else(|| at.wrong_tensors())
    }

    pub(super) fn reshape(&mut self, x: &str, shape: &[i64]) -> String {
        let shape = self.w.ints(shape);
        self.w.node("Reshape", &[x, &shape], vec![])
    }

    pub(super) fn transpose(&mut self, x: &str, perm: &[i64]) -> String {
        self.w.node("Transpose", &[x], vec![Attribute::ints("perm", perm)])
    }

    /// An operator on a node's two inputs.
    fn binary(&mut self, op: &str, at: &NodeCtx) -> OnnxValue {
        Ok(self.w.node(op, &[at.input(0)?, at.input(1)?], vec![]))
    }

    /// Where linear layers are `Gemm`, so is a product with a learnt matrix.
    fn mat_mul(&mut self, at: &NodeCtx) -> OnnxValue {
        let learnt = at.node.inputs.get(1).map(|i| *i as usize);
        let learnt = learnt.filter(|i| self.linear_as_gemm && matches!(self.graph.nodes[*i].op, Op::Learnt { .. }));
        let Some(learnt) = learnt else { return self.binary("MatMul", at) };
        let spec = self.graph.node_params(learnt).into_iter().next().ok_or_else(|| at.wrong_tensors())?;
        let [_, inner, out] = self.graph.nodes[learnt].value.dims[..] else { return Err(at.wrong_tensors()) };
        let values = self.array(&spec)?;
        let weight = self.w.weights(&format!("{}.matrix", spec.name), &shape([], &[inner, out]), values);
        let x = self.reshape(at.input(0)?, &[-1, i64::from(inner)]);
        let y = self.w.node("Gemm", &[&x, &weight], vec![]);
        Ok(self.reshape(&y, &shape([-1], &at.node.value.dims)))
    }

    fn node(&mut self, at: &NodeCtx) -> OnnxValue {
        let value = &at.node.value;
        match at.node.op {
            Op::Input => Ok(INPUT.to_string()),
            Op::Conv { out: _, kernel, stride, pad, dilation, groups, bias: _ } => {
                self.conv(at, [kernel, stride, pad, dilation], groups)
            }
            Op::BatchNorm => self.batch_norm(at),
            Op::LayerNorm { eps_e7, bias: _ } => self.layer_norm(at, eps_e7),
            Op::GroupNorm { eps_e7, bias: _ } => self.group_norm(at, eps_e7),
            Op::Linear { .. } => self.linear(at),
            Op::Act(f) => self.act(f, at.input(0)?),
            Op::AvgPool { kernel, stride, pad } => self.avg_pool(at, [kernel, stride, pad]),
            Op::MaxPool { kernel, stride, pad } => self.max_pool(at, [kernel, stride, pad]),
            Op::GlobalPool { keep } => self.global_pool(at, keep),
            Op::Resize { h, w, align_corners } => self.resize(at, (h, w), align_corners),
            Op::ResizeCubic { h, w } => self.resize_cubic(at, (h, w)),
            Op::ResizeNearest { h, w } => self.resize_nearest(at, (h, w)),
            Op::AdaptiveAvgPool { h, w } => self.adaptive_avg_pool(at, (h, w)),
            Op::Shuffle { groups } => self.shuffle(at, groups),
            Op::Unfold { patch, layout } => self.unfold(at, patch, layout),
            Op::Fold { patch, layout, h, w } => self.fold(at, patch, layout, (h, w)),
            Op::Flatten => self.flatten_map(at),
            Op::Unflatten { .. } => self.unflatten(at),
            Op::SplitRows { .. } => Ok(self.reshape(at.input(0)?, &shape([-1], &value.dims))),
            Op::Slice { start, len } => self.slice(at, start, len),
            Op::SliceHeads { heads, start, len } => self.slice_heads(at, heads, start, len),
            Op::Concat => self.concat(at, 1 + value.axis as i64),
            Op::ConcatRows => self.concat(at, value.axis as i64),
            Op::Rows { start, len } => Ok(self.slice_axis(at.input(0)?, value.axis as i64, start, len)),
            Op::Row { index } => {
                let (index, rows) = (self.w.int(i64::from(index)), self.source(at.index));
                let axis = rows.map_or(1, |i| self.graph.nodes[i].value.axis as i64);
                let row = self.w.node("Gather", &[at.input(0)?, &index], vec![Attribute::int("axis", axis)]);
                Ok(if axis == 1 { row } else { self.reshape(&row, &shape([-1], &value.dims)) })
            }
            Op::Add => self.binary("Add", at),
            Op::Sub => self.binary("Sub", at),
            Op::Mul => self.binary("Mul", at),
            Op::MatMul => self.mat_mul(at),
            Op::Mean => {
                let (sum, half) = (self.binary("Add", at)?, self.w.number(0.5));
                Ok(self.w.node("Mul", &[&sum, &half], vec![]))
            }
            Op::SumWidth => {
                let axes = self.w.ints(&[-1]);
                Ok(self.w.node("ReduceSum", &[at.input(0)?, &axes], vec![Attribute::int("keepdims", 1)]))
            }
            Op::Softmax => Ok(self.w.node("Softmax", &[at.input(0)?], vec![Attribute::int("axis", -1)])),
            Op::InvSqrt { n } => {
                let factor = self.w.number(f64::from(n).powf(-0.5) as f32);
                Ok(self.w.node("Mul", &[at.input(0)?, &factor], vec![]))
            }
            Op::Attention { heads, key_dim } => self.attention(at, heads, key_dim),
            Op::LinearAttention { heads, key_dim } => self.linear_attention(at, heads, key_dim),
            Op::L2Norm => self.l2_norm(at),
            Op::SplitHeads { heads, transposed } => self.split_heads(at, heads, transposed),
            Op::MergeHeads { transposed, .. } => self.merge_heads(at, transposed),
            Op::ChannelScale { .. } => self.channel_scale(at),
            Op::BiasTable { heads: _, h, w, stride, index: _ } => self.bias_table(at, (h, w), stride),
            Op::Learnt { .. } => {
                let spec = self.only_tensor(at)?;
                let values = self.array(&spec)?;
                Ok(self.w.weights(&spec.name, &shape([1], &value.dims), values))
            }
            // The layer that reads it writes its own result.
            Op::Fourier | Op::Offsets { .. } => Ok(String::new()),
            Op::RelativeLogits { heads } => self.relative_logits(at, heads),
            Op::Vector => Ok(self.w.node("Flatten", &[at.input(0)?], vec![Attribute::int("axis", 1)])),
            Op::ConvTranspose { out: _, kernel, bias: _ } => self.conv_transpose(at, kernel),
            Op::Regions { .. } => Err(OnnxError::Regions { at: at.node.path.to_string() }),
            Op::Windows { side } => self.windows(at, side),
            Op::Unwindow { h, w } => self.unwindow(at, (h, w)),
            Op::Dropout { .. } | Op::DropPath { .. } => Ok(at.input(0)?.to_string()),
        }
    }
}
