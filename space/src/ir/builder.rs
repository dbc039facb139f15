//! Builds a graph operation by operation, checking every shape as it goes.

use smallvec::SmallVec;

use super::{ActFn, BlockRange, Graph, Groups, InitStyle, Node, Op, Path, PathSegment, Sections, ShapeError, Value};

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
}

type Built = Result<Val, ShapeError>;

impl Builder {
    /// An empty graph with its input.
    pub fn new(input: Value, style: InitStyle) -> (Builder, Val) {
        let node =
            Node { op: Op::Input, inputs: SmallVec::new(), path: Path::root(), shared: Path::root(), value: input };
        let (path, shared) = (Path::root(), Path::root());
        (Builder { nodes: vec![node], blocks: Vec::new(), heads: Vec::new(), path, shared, style }, Val(0))
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
        lower: impl FnOnce(&mut Builder) -> Built,
    ) -> Built {
        let start = self.nodes.len();
        (self.path, self.shared) = (path.clone(), shared.clone());
        let out = lower(self)?;
        self.blocks.push(BlockRange { path: path.clone(), kind, start, end: self.nodes.len() });
        Ok(out)
    }

    /// The finished graph.
    pub(crate) fn finish(self, output: Val) -> Graph {
        let output = output.0 as usize;
        let heads = if self.heads.is_empty() { vec![output] } else { self.heads };
        Graph { nodes: self.nodes, blocks: self.blocks, output, heads, style: self.style }
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
        let ins: SmallVec<[&Value; 4]> = inputs.iter().map(|v| self.value(*v)).collect();
        let value = op.out_value(&ins).map_err(|e| e.at(&self.path))?;
        drop(ins);
        self.nodes.push(Node {
            op,
            inputs: inputs.iter().map(|v| v.0).collect(),
            path: self.path.clone(),
            shared: self.shared.clone(),
            value,
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
        self.op_at(name, Op::Conv { out, kernel, stride, pad: kernel / 2, groups: Groups::Dense, bias }, &[x])
    }

    /// Depthwise convolution with "same" padding for odd kernels.
    ///
    /// # Errors
    /// When it does not fit its input.
    pub fn depthwise(&mut self, name: &'static str, x: Val, kernel: u32, stride: u32, bias: bool) -> Built {
        let out = self.value(x).sections.clone();
        self.op_at(name, Op::Conv { out, kernel, stride, pad: kernel / 2, groups: Groups::Depthwise, bias }, &[x])
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
