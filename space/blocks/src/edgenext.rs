//! The blocks of EdgeNeXt (Maaz et al., 2022): depthwise convolutions, and attention among channels.

use super::residual::residual;
use super::transformer::mlp;
use crate::ir::{
    ActFn, Block, Builder, Groups, Layout, LearntInit, Op, PathSegment, ScaleName, Sections, ShapeError, Val, Value,
};

const NORM: Op = Op::layer_norm(10);
const ROWS: Op = Op::Unfold { patch: 1, layout: Layout::Rows };

fn map(h: u32, w: u32) -> Op {
    Op::Fold { patch: 1, layout: Layout::Rows, h, w }
}

/// A layer scale, which is an attribute of the module around it, initially 1e-6.
fn scale(b: &mut Builder, name: &'static str, x: Val) -> Result<Val, ShapeError> {
    b.op_at(name, Op::ChannelScale { init_e7: 10, name: ScaleName::Attribute }, &[x])
}

/// A convolution with a stride, and a layer norm before or after it.
#[derive(Clone, Debug, Hash)]
pub struct NormedConv {
    /// Name of the convolution.
    pub conv: PathSegment,
    /// Name of the norm.
    pub norm: PathSegment,
    /// Its epsilon in units of 1e-7.
    pub eps_e7: u32,
    /// Output channels.
    pub out: Sections,
    /// Kernel.
    pub kernel: u32,
    /// Stride.
    pub stride: u32,
    /// Whether the norm is before the convolution.
    pub before: bool,
    /// Whether the convolution has a bias.
    pub bias: bool,
}

impl Block for NormedConv {
    fn kind(&self) -> &'static str {
        "normed_conv"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let NormedConv { kernel, stride, before, bias, .. } = *self;
        let norm = |b: &mut Builder, x: Val| {
            let (h, w) = b.hw(x)?;
            let y = b.op(ROWS, &[x])?;
            let y = b.op_at(self.norm, Op::layer_norm(self.eps_e7), &[y])?;
            b.op(map(h, w), &[y])
        };
        let x = if before { norm(b, x)? } else { x };
        // Kernels that overlap are centred.
        let pad = if kernel > stride { kernel / 2 } else { 0 };
        let conv = Op::Conv { out: self.out.clone(), kernel, stride, pad, dilation: 1, groups: Groups::Dense, bias };
        let y = b.op_at(self.conv, conv, &[x])?;
        if before { Ok(y) } else { norm(b, y) }
    }
}

/// A depthwise convolution, a layer norm and an MLP.
#[derive(Clone, Debug, Hash)]
pub struct EdgeNextConv {
    /// Output channels.
    pub out: Sections,
    /// Kernel.
    pub kernel: u32,
    /// Stride. In a block that changes the size or the channels, the residual is around the MLP alone.
    pub stride: u32,
    /// Hidden channels over those of the map.
    pub expand: u32,
    /// Whether the convolution has a bias.
    pub bias: bool,
    /// Drop rate of stochastic depth, in thousandths.
    pub drop: u32,
}

impl Block for EdgeNextConv {
    fn kind(&self) -> &'static str {
        "edgenext_conv"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("ConvBlock");
        let (out, kernel, stride, groups) = (self.out.clone(), self.kernel, self.stride, Groups::Depthwise);
        let same = stride == 1 && b.channels(x) == out.total();
        let conv = Op::Conv { out, kernel, stride, pad: kernel / 2, dilation: 1, groups, bias: self.bias };
        let y = b.op_at("conv_dw", conv, &[x])?;
        let (shortcut, (h, w)) = (if same { x } else { y }, b.hw(y)?);
        let y = b.op(ROWS, &[y])?;
        let y = b.op_at("norm", NORM, &[y])?;
        let hidden = self.out.total() * self.expand;
        let y = mlp(b, y, hidden, ActFn::Gelu)?;
        let y = scale(b, "gamma", y)?;
        let y = b.op(map(h, w), &[y])?;
        residual(b, shortcut, y, self.drop)
    }
}

/// Depthwise convolutions of all chunks of the channels but the last, each with the result of the one before; attention
/// among channels; and an MLP. The channels of the map are in as many sections as there are chunks.
#[derive(Clone, Debug, Hash)]
pub struct SplitTranspose {
    /// Attention heads.
    pub heads: u32,
    /// Channels of a head.
    pub head_dim: u32,
    /// Hidden channels over those of the map.
    pub expand: u32,
    /// Whether an encoding of the positions is added.
    pub positions: bool,
    /// Whether the convolutions have a bias.
    pub bias: bool,
    /// Drop rate of stochastic depth, in thousandths.
    pub drop: u32,
}

impl SplitTranspose {
    fn filter(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let sections = b.value(x).sections.0.clone();
        let (mut all, mut start, mut last) = (Vec::new(), 0, None);
        let mut chunks = Vec::new();
        for s in &sections {
            let len = s.count * s.len;
            chunks.push(b.op(Op::Slice { start, len }, &[x])?);
            start += len;
        }
        let convolved = chunks.len().saturating_sub(1);
        for (i, chunk) in (0u32..).zip(&chunks[..convolved]) {
            let read = last.map_or(Ok(*chunk), |last| b.add(last, *chunk))?;
            let out = b.value(read).sections.clone();
            let conv =
                Op::Conv { out, kernel: 3, stride: 1, pad: 1, dilation: 1, groups: Groups::Depthwise, bias: self.bias };
            let y = b.within("convs", |b| b.op_at(i, conv, &[read]))?;
            last = Some(y);
            all.push(y);
        }
        all.extend(&chunks[convolved..]);
        b.op(Op::Concat, &all)
    }

    /// Each channel of a head attends to the channels of that head, by its values at all positions.
    fn attention(&self, b: &mut Builder, rows: Val, (h, w): (u32, u32)) -> Result<Val, ShapeError> {
        b.class("CrossCovarianceAttention");
        let (heads, out) = (self.heads, b.value(rows).sections.clone());
        let part = Sections::runs(heads, self.head_dim);
        let len = part.total();
        let qkv = b.linear("qkv", rows, part.join(&part).join(&part))?;
        let qkv = b.op(map(h, w), &[qkv])?;
        let mut piece = |i: u32| b.op(Op::Slice { start: i * len, len }, &[qkv]);
        let (q, k, v) = (piece(0)?, piece(1)?, piece(2)?);
        let normed = |b: &mut Builder, x: Val, transposed| {
            let y = b.op(Op::Unfold { patch: 1, layout: Layout::Map }, &[x])?;
            let y = b.op(Op::L2Norm, &[y])?;
            b.op(Op::SplitHeads { heads, transposed }, &[y])
        };
        let (q, k) = (normed(b, q, true)?, normed(b, k, false)?);
        let v = b.op(Op::SplitHeads { heads, transposed: true }, &[v])?;
        let y = b.op(Op::MatMul, &[q, k])?;
        let learnt = Op::Learnt { value: Value::heads(heads, 1, 1), axes: 3, init: LearntInit::Ones };
        let temperature = b.op_at("temperature", learnt, &[])?;
        let y = b.op(Op::Mul, &[y, temperature])?;
        let y = b.op(Op::Softmax, &[y])?;
        let y = b.op(Op::MatMul, &[y, v])?;
        let y = b.op(Op::MergeHeads { h, w, transposed: true }, &[y])?;
        let y = b.op(ROWS, &[y])?;
        b.linear("proj", y, out)
    }
}

impl Block for SplitTranspose {
    fn kind(&self) -> &'static str {
        "split_transpose"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("SplitTransposeBlock");
        let ((h, w), channels) = (b.hw(x)?, b.channels(x));
        let mixed = self.filter(b, x)?;
        let mut rows = b.op(ROWS, &[mixed])?;
        if self.positions {
            let out = b.value(x).sections.clone();
            let places = b.op(Op::Fourier, &[mixed])?;
            let places = b.within("pos_embd", |b| b.conv_to("token_projection", places, out, true))?;
            let places = b.op(ROWS, &[places])?;
            rows = b.add(rows, places)?;
        }
        let y = b.op_at("norm_xca", NORM, &[rows])?;
        let y = b.within("xca", |b| self.attention(b, y, (h, w)))?;
        let y = scale(b, "gamma_xca", y)?;
        let rows = residual(b, rows, y, self.drop)?;
        let y = b.op_at("norm", NORM, &[rows])?;
        let y = mlp(b, y, channels * self.expand, ActFn::Gelu)?;
        let y = scale(b, "gamma", y)?;
        let y = b.op(map(h, w), &[y])?;
        residual(b, x, y, self.drop)
    }
}
