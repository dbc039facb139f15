//! The block of PVTv2 (Wang et al., 2022): attention to a smaller map, and an MLP with a depthwise convolution inside.

use super::residual::residual;
use crate::ir::{ActFn, Block, Builder, Groups, Layout, Op, Sections, ShapeError, Val};

const NORM: Op = Op::layer_norm(10);
const ROWS: Op = Op::Unfold { patch: 1, layout: Layout::Rows };

fn map(h: u32, w: u32) -> Op {
    Op::Fold { patch: 1, layout: Layout::Rows, h, w }
}

/// Attention and an MLP, each with a residual.
#[derive(Clone, Debug, Hash)]
pub struct Pvt {
    /// Attention heads.
    pub heads: u32,
    /// Channels of a head.
    pub head_dim: u32,
    /// Stride of the convolution before keys and values; 1 leaves it out.
    pub reduction: u32,
    /// Hidden channels over those of the map.
    pub expand: u32,
    /// Drop rate of stochastic depth, in thousandths.
    pub drop: u32,
}

impl Pvt {
    fn attention(&self, b: &mut Builder, rows: Val, (h, w): (u32, u32)) -> Result<Val, ShapeError> {
        b.class("Attention");
        let Pvt { heads, head_dim: key_dim, reduction, .. } = *self;
        let (part, out) = (Sections::runs(heads, key_dim), b.value(rows).sections.clone());
        let mut y = rows;
        if reduction > 1 {
            let whole = b.op(map(h, w), &[rows])?;
            let (kernel, out) = (reduction, out.clone());
            let conv = Op::Conv { out, kernel, stride: kernel, pad: 0, dilation: 1, groups: Groups::Dense, bias: true };
            y = b.op_at("sr", conv, &[whole])?;
            y = b.op(ROWS, &[y])?;
            y = b.op_at("norm", Op::layer_norm(100), &[y])?;
        }
        let q = b.linear("q", rows, part.clone())?;
        let kv = b.linear("kv", y, part.join(&part))?;
        let len = part.total();
        let k = b.op(Op::Slice { start: 0, len }, &[kv])?;
        let v = b.op(Op::Slice { start: len, len }, &[kv])?;
        let y = b.op(Op::Attention { heads, key_dim }, &[q, k, v])?;
        b.linear("proj", y, out)
    }

    fn mlp(&self, b: &mut Builder, rows: Val, (h, w): (u32, u32)) -> Result<Val, ShapeError> {
        b.class("MlpWithConv");
        let out = b.value(rows).sections.clone();
        let y = b.linear("fc1", rows, Sections::plain(out.total() * self.expand))?;
        let y = b.op(map(h, w), &[y])?;
        let y = b.depthwise("dwconv", y, 3, 1, true)?;
        let y = b.op(ROWS, &[y])?;
        let y = b.act(ActFn::Gelu, y)?;
        b.linear("fc2", y, out)
    }
}

impl Block for Pvt {
    fn kind(&self) -> &'static str {
        "pvt"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("PvtBlock");
        let size = b.hw(x)?;
        let rows = b.op(ROWS, &[x])?;
        let y = b.op_at("norm1", NORM, &[rows])?;
        let y = b.within("attn", |b| self.attention(b, y, size))?;
        let rows = residual(b, rows, y, self.drop)?;
        let y = b.op_at("norm2", NORM, &[rows])?;
        let y = b.within("mlp", |b| self.mlp(b, y, size))?;
        let rows = residual(b, rows, y, self.drop)?;
        b.op(map(size.0, size.1), &[rows])
    }
}

/// A layer norm `norm` of each position of a map.
#[derive(Clone, Debug, Hash)]
pub struct PositionNorm;

impl Block for PositionNorm {
    fn kind(&self) -> &'static str {
        "position_norm"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let (h, w) = b.hw(x)?;
        let y = b.op(ROWS, &[x])?;
        let y = b.op_at("norm", NORM, &[y])?;
        b.op(map(h, w), &[y])
    }
}
