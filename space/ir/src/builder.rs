//! Builds a graph operation by operation, checking every shape as it goes.

use smallvec::SmallVec;

use super::dilation::Dilation;
use super::{
    ActFn, BN_EPS_E7, BlockRange, Graph, Groups, InitStyle, LOGITS, Node, Op, Output, Path, PathSegment, Sections,
    ShapeError, Value,
};

/// A value in a graph under construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Val(u32);

/// A graph under construction. Blocks write into it.
#[derive(Debug)]
pub struct Builder {
    nodes: Vec<Node>,
    blocks: Vec<BlockRange>,
    heads: Vec<usize>,
    path: Path,
    shared: Path,
    style: InitStyle,
    block_style: Option<InitStyle>,
    classes: Vec<(Path, &'static str)>,
    dilation: Dilation,
    bn_eps_e7: u32,
    tied: bool,
}

type Built = Result<Val, ShapeError>;

impl Builder {
    /// An empty graph with its input.
    pub fn new(input: Value, style: InitStyle) -> (Builder, Val) {
        (Builder::of_inputs([input], style), Val(0))
    }

    /// An empty graph with several inputs, in order.
    pub(super) fn of_inputs(inputs: impl IntoIterator<Item = Value>, style: InitStyle) -> Builder {
        let (path, shared) = (Path::root(), Path::root());
        let node = |value| {
            let (path, shared) = (path.clone(), shared.clone());
            Node { op: Op::Input, inputs: SmallVec::new(), path, shared, value, style, tied: false }
        };
        let nodes = inputs.into_iter().map(node).collect();
        let (blocks, heads, classes) = (Vec::new(), Vec::new(), Vec::new());
        let (block_style, dilation, bn_eps_e7) = (None, Dilation::NONE, BN_EPS_E7);
        Builder { nodes, blocks, heads, path, shared, style, block_style, classes, dilation, bn_eps_e7, tied: false }
    }

    /// The input of an index.
    pub(super) fn input(index: usize) -> Val {
        Val(index as u32)
    }

    /// The type of `x`.
    pub fn value(&self, x: Val) -> &Value {
        &self.nodes[x.0 as usize].value
    }

    /// Channels of `x`.
    pub fn channels(&self, x: Val) -> u32 {
        self.value(x).channels()
    }

    /// Height and width of a map.
    ///
    /// # Errors
    /// When `x` is not a map.
    pub fn hw(&self, x: Val) -> Result<(u32, u32), ShapeError> {
        let v = self.value(x);
        v.hw().ok_or_else(|| ShapeError::new("block", v.to_string(), "a map CxHxW").at(&self.path))
    }

    /// An error at the current path.
    pub fn error(&self, found: impl Into<String>, expected: impl Into<String>) -> ShapeError {
        ShapeError::new("block", found, expected).at(&self.path)
    }

    /// Runs `lower`, whose operations are a block at a path.
    pub(super) fn block(
        &mut self,
        (path, shared): (&Path, &Path),
        kind: &'static str,
        inputs: &[Val],
        lower: impl FnOnce(&mut Builder) -> Built,
    ) -> Built {
        let start = self.nodes.len();
        (self.path, self.shared) = (path.clone(), shared.clone());
        self.block_style = None;
        let out = lower(self)?;
        let inputs = inputs.iter().map(|v| v.0 as usize).collect();
        let (end, output) = (self.nodes.len(), out.0 as usize);
        self.blocks.push(BlockRange { path: path.clone(), kind, start, end, inputs, output });
        Ok(out)
    }

    /// The finished graph of a network with one output.
    pub fn finish(self, output: Val) -> Graph {
        self.finish_with(&[(LOGITS, output)])
    }

    /// The finished graph, with named outputs.
    pub(super) fn finish_with(self, outputs: &[(&'static str, Val)]) -> Graph {
        let outputs: Vec<Output> = outputs.iter().map(|(name, v)| Output { name, node: v.0 as usize }).collect();
        let heads = if self.heads.is_empty() { outputs.iter().map(|o| o.node).collect() } else { self.heads };
        let Builder { nodes, blocks, style, classes, bn_eps_e7, .. } = self;
        Graph { nodes, blocks, outputs, heads, style, bn_eps_e7, classes }
    }

    /// Sets the epsilon of all batch norms.
    pub(super) fn set_bn_eps(&mut self, bn_eps_e7: u32) {
        self.bn_eps_e7 = bn_eps_e7;
    }

    /// Runs `f`, whose windows are dilated.
    ///
    /// # Errors
    /// Those of `f`.
    pub(super) fn dilated(&mut self, dilation: Dilation, f: impl FnOnce(&mut Builder) -> Built) -> Built {
        let outer = std::mem::replace(&mut self.dilation, dilation);
        let out = f(self);
        self.dilation = outer;
        out
    }

    /// Leaves the convolutions that follow in this block as they are, where others would be dilated for a head.
    pub fn keep_undilated(&mut self) {
        self.dilation.rate = 1;
    }

    /// Names what lies at the current path, as a class of PyTorch would be called.
    pub fn class(&mut self, name: &'static str) {
        self.classes.push((self.path.clone(), name));
    }

    /// Runs `f`, whose operations have the tensors of earlier ones of this block with the same paths, where `again`.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn tied<T>(
        &mut self,
        again: bool,
        f: impl FnOnce(&mut Builder) -> Result<T, ShapeError>,
    ) -> Result<T, ShapeError> {
        let outer = std::mem::replace(&mut self.tied, again);
        let out = f(self);
        self.tied = outer;
        out
    }

    /// Runs `f` with one more segment on the path.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn within<T>(
        &mut self,
        segment: impl Into<PathSegment>,
        f: impl FnOnce(&mut Builder) -> Result<T, ShapeError>,
    ) -> Result<T, ShapeError> {
        let segment = segment.into();
        let inner = (self.path.at(segment), self.shared.at(segment));
        let outer = (std::mem::replace(&mut self.path, inner.0), std::mem::replace(&mut self.shared, inner.1));
        let out = f(self);
        (self.path, self.shared) = outer;
        out
    }

    /// Appends an operation at the current path.
    ///
    /// # Errors
    /// When it does not fit its inputs.
    pub fn op(&mut self, op: Op, inputs: &[Val]) -> Built {
        let op = self.dilation.of(op);
        let ins: SmallVec<[&Value; 4]> = inputs.iter().map(|v| self.value(*v)).collect();
        let value = op.out_value(&ins).map_err(|e| e.at(&self.path))?;
        drop(ins);
        self.nodes.push(Node {
            op,
            inputs: inputs.iter().map(|v| v.0).collect(),
            path: self.path.clone(),
            shared: self.shared.clone(),
            value,
            style: self.block_style.unwrap_or(self.style),
            tied: self.tied,
        });
        Ok(Val(self.nodes.len() as u32 - 1))
    }

    /// Appends an operation at the current path and one more segment.
    ///
    /// # Errors
    /// When it does not fit its inputs.
    pub fn op_at(&mut self, segment: impl Into<PathSegment>, op: Op, inputs: &[Val]) -> Built {
        self.within(segment, |b| b.op(op, inputs))
    }

    /// Initialises the tensors of what follows in this block in another style than the network's.
    pub fn init_style(&mut self, style: InitStyle) {
        self.block_style = Some(style);
    }

    /// Marks a value as a classifier head, on which training has a loss.
    pub fn head(&mut self, x: Val) {
        self.heads.push(x.0 as usize);
    }

    /// Dense convolution with "same" padding for odd kernels.
    ///
    /// # Errors
    /// When it does not fit its input.
    pub fn conv(&mut self, name: &'static str, x: Val, out: u32, kernel: u32, stride: u32, bias: bool) -> Built {
        let out = Sections::plain(out);
        self.op_at(
            name,
            Op::Conv { out, kernel, stride, pad: kernel / 2, dilation: 1, groups: Groups::Dense, bias },
            &[x],
        )
    }

    /// Dense 1x1 convolution to channels with sections.
    ///
    /// # Errors
    /// When it does not fit its input.
    pub fn conv_to(&mut self, name: &'static str, x: Val, out: Sections, bias: bool) -> Built {
        self.op_at(name, Op::Conv { out, kernel: 1, stride: 1, pad: 0, dilation: 1, groups: Groups::Dense, bias }, &[x])
    }

    /// Depthwise convolution with "same" padding for odd kernels.
    ///
    /// # Errors
    /// When it does not fit its input.
    pub fn depthwise(&mut self, name: &'static str, x: Val, kernel: u32, stride: u32, bias: bool) -> Built {
        let out = self.value(x).sections.clone();
        self.op_at(
            name,
            Op::Conv { out, kernel, stride, pad: kernel / 2, dilation: 1, groups: Groups::Depthwise, bias },
            &[x],
        )
    }

    /// Linear layer with bias.
    ///
    /// # Errors
    /// When its input is not rows.
    pub fn linear(&mut self, name: &'static str, x: Val, out: Sections) -> Built {
        self.op_at(name, Op::Linear { out, bias: true }, &[x])
    }

    /// Batch norm.
    ///
    /// # Errors
    /// When it does not fit its input.
    pub fn bn(&mut self, name: &'static str, x: Val) -> Built {
        self.op_at(name, Op::BatchNorm, &[x])
    }

    /// Activation.
    ///
    /// # Errors
    /// When it does not fit its input.
    pub fn act(&mut self, f: ActFn, x: Val) -> Built {
        self.op(Op::Act(f), &[x])
    }

    /// Sum of two values.
    ///
    /// # Errors
    /// When their sizes differ.
    pub fn add(&mut self, a: Val, b: Val) -> Built {
        self.op(Op::Add, &[a, b])
    }
}
