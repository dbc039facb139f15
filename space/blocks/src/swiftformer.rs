//! The blocks of SwiftFormer (Shaker et al., 2023): depthwise convolutions, and additive attention, which is linear in the
//! number of positions.

use super::residual::residual;
use crate::ir::{ActFn, Block, Builder, Layout, LearntInit, Op, ScaleName, Sections, ShapeError, Val, Value};

fn layer_scale(b: &mut Builder, name: &'static str, x: Val, init_e7: u32) -> Result<Val, ShapeError> {
    b.op_at(name, Op::ChannelScale { init_e7, name: ScaleName::Pixel }, &[x])
}

/// Two convolutions of 3x3 with stride 2, to half of the channels and to all.
#[derive(Clone, Debug, Hash)]
pub struct SwiftFormerStem {
    /// Output channels.
    pub out: u32,
    /// Stride of the first.
    pub stride: u32,
}

impl Block for SwiftFormerStem {
    fn kind(&self) -> &'static str {
        "swiftformer_stem"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let mut y = x;
        for (first, out, stride) in [(0u32, self.out / 2, self.stride), (3, self.out, 2)] {
            let (out, groups) = (Sections::plain(out), crate::ir::Groups::Dense);
            y = b.op_at(first, Op::Conv { out, kernel: 3, stride, pad: 1, dilation: 1, groups, bias: true }, &[y])?;
            y = b.op_at(first + 1, Op::BatchNorm, &[y])?;
            y = b.act(ActFn::Relu, y)?;
        }
        Ok(y)
    }
}

/// A depthwise convolution and an MLP to `hidden` channels, with a residual.
fn encode(b: &mut Builder, x: Val, kernel: u32, hidden: u32, drop: u32) -> Result<Val, ShapeError> {
    let out = b.channels(x);
    let y = b.depthwise("dwconv", x, kernel, 1, true)?;
    let y = b.bn("norm", y)?;
    let y = b.conv("pwconv1", y, hidden, 1, 1, true)?;
    let y = b.act(ActFn::Gelu, y)?;
    let y = b.conv("pwconv2", y, out, 1, 1, true)?;
    let y = layer_scale(b, "layer_scale", y, 10_000_000)?;
    residual(b, x, y, drop)
}

/// A depthwise convolution and an MLP; or a convolution, additive attention and an MLP.
#[derive(Clone, Debug, Hash)]
pub struct SwiftFormer {
    /// Whether it has attention.
    pub attends: bool,
    /// Kernel of the depthwise convolution.
    pub kernel: u32,
    /// Hidden channels of the MLP over those of the map.
    pub expand: u32,
    /// Drop rate of stochastic depth, in thousandths.
    pub drop: u32,
}

/// Keys are scaled by one query: the sum of all, weighted by a learnt direction.
fn attention(b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
    b.class("AdditiveAttention");
    let ((h, w), dim) = (b.hw(x)?, b.channels(x));
    let (patch, layout, out) = (1, Layout::Rows, Sections::plain(dim));
    let rows = b.op(Op::Unfold { patch, layout }, &[x])?;
    let q = b.linear("to_query", rows, out.clone())?;
    let q = b.op(Op::L2Norm, &[q])?;
    let k = b.linear("to_key", rows, out.clone())?;
    let k = b.op(Op::L2Norm, &[k])?;
    let map = b.op(Op::Fold { patch, layout, h, w }, &[q])?;
    let column = Value { axis: 1, sections: out.clone(), ..Value::heads(1, dim, 1) };
    let direction = b.op_at("w_g", Op::Learnt { value: column, axes: 2, init: LearntInit::Normal }, &[])?;
    let queries = b.op(Op::SplitHeads { heads: 1, transposed: false }, &[map])?;
    let scores = b.op(Op::MatMul, &[queries, direction])?;
    let scores = b.op(Op::InvSqrt { n: dim }, &[scores])?;
    let scores = b.op(Op::Unfold { patch, layout: Layout::Map }, &[scores])?;
    let scores = b.op(Op::L2Norm, &[scores])?;
    let flat = b.op(Op::Unfold { patch, layout: Layout::Map }, &[map])?;
    let weighted = b.op(Op::Mul, &[flat, scores])?;
    let query = b.op(Op::SumWidth, &[weighted])?;
    let query = b.op(Op::Unfold { patch, layout }, &[query])?;
    let y = b.op(Op::Mul, &[query, k])?;
    let y = b.linear("proj", y, out.clone())?;
    let y = b.add(y, q)?;
    let y = b.linear("final", y, out)?;
    b.op(Op::Fold { patch, layout, h, w }, &[y])
}

impl Block for SwiftFormer {
    fn kind(&self) -> &'static str {
        "swiftformer"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let (channels, hidden) = (b.channels(x), b.channels(x) * self.expand);
        if !self.attends {
            b.class("ConvEncoder");
            return encode(b, x, self.kernel, hidden, self.drop);
        }
        b.class("SwiftFormerBlock");
        let x = b.within("local_representation", |b| {
            b.class("LocalRepresentation");
            encode(b, x, self.kernel, channels, 0)
        })?;
        let y = b.within("attn", |b| attention(b, x))?;
        let y = layer_scale(b, "layer_scale_1", y, 100)?;
        let x = residual(b, x, y, self.drop)?;
        let y = b.within("linear", |b| {
            b.class("ConvMlp");
            let y = b.bn("norm1", x)?;
            let y = b.conv("fc1", y, hidden, 1, 1, true)?;
            let y = b.act(ActFn::Gelu, y)?;
            b.conv("fc2", y, channels, 1, 1, true)
        })?;
        let y = layer_scale(b, "layer_scale_2", y, 100)?;
        residual(b, x, y, self.drop)
    }
}
