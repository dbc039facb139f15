//! The blocks of CaiT (Touvron et al., 2021): attention among patches whose heads are mixed (talking heads), then attention
//! of the class token alone.

use super::transformer::mlp;
use crate::ir::{ActFn, Block, Builder, Groups, Layout, LearntInit, Op, ScaleName, Sections, ShapeError, Val, Value};

const NORM: Op = Op::layer_norm(10);
const ROWS: Op = Op::Unfold { patch: 1, layout: Layout::Rows };

/// Initial layer scale: 1e-5.
const INIT_E7: u32 = 100;

fn map(h: u32, w: u32) -> Op {
    Op::Fold { patch: 1, layout: Layout::Rows, h, w }
}

fn add(b: &mut Builder, x: Val, y: Val, scale: &'static str) -> Result<Val, ShapeError> {
    let y = b.op_at(scale, Op::ChannelScale { init_e7: INIT_E7, name: ScaleName::Attribute }, &[y])?;
    b.add(x, y)
}

/// A row for each patch, plus learnt position embeddings.
#[derive(Clone, Debug, Hash)]
pub struct CaitEmbed {
    /// Side of a patch in pixels.
    pub patch: u32,
    /// Channels of the rows.
    pub dim: u32,
}

impl Block for CaitEmbed {
    fn kind(&self) -> &'static str {
        "cait_embed"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let (kernel, out) = (self.patch, Sections::plain(self.dim));
        let conv = Op::Conv {
            out: out.clone(),
            kernel,
            stride: kernel,
            pad: 0,
            dilation: 1,
            groups: Groups::Dense,
            bias: true,
        };
        let y = b.within("patch_embed", |b| b.op_at("proj", conv, &[x]))?;
        let (h, w) = b.hw(y)?;
        let y = b.op(ROWS, &[y])?;
        let value = Value::rows(&[1, h * w], out);
        let places = b.op_at("pos_embed", Op::Learnt { value, axes: 3, init: LearntInit::Truncated }, &[])?;
        b.add(y, places)
    }
}

/// The class token in front of the rows.
#[derive(Clone, Debug, Hash)]
pub struct ClassToken;

impl Block for ClassToken {
    fn kind(&self) -> &'static str {
        "class_token_first"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let value = Value::rows(&[1, 1], b.value(x).sections.clone());
        let token = b.op_at("cls_token", Op::Learnt { value, axes: 3, init: LearntInit::Truncated }, &[])?;
        b.op(Op::ConcatRows, &[token, x])
    }
}

/// Attention and an MLP with layer scales: among all rows, or of the first row alone to all.
#[derive(Clone, Debug, Hash)]
pub struct Cait {
    /// Whether the first row alone attends.
    pub class: bool,
    /// Attention heads.
    pub heads: u32,
    /// Channels of a head.
    pub head_dim: u32,
    /// Hidden channels of the MLP over those of the rows.
    pub expand: u32,
}

impl Cait {
    /// A linear layer over the heads of attention weights.
    fn talk(&self, b: &mut Builder, name: &'static str, x: Val, n: u32) -> Result<Val, ShapeError> {
        let y = b.op(ROWS, &[x])?;
        let y = b.linear(name, y, Sections::runs(self.heads, 1))?;
        b.op(map(n, n), &[y])
    }

    fn among_all(&self, b: &mut Builder, rows: Val) -> Result<Val, ShapeError> {
        b.class("TalkingHeadAttention");
        let (heads, n, out) = (self.heads, b.value(rows).dims[1], b.value(rows).sections.clone());
        let part = Sections::runs(heads, self.head_dim);
        let len = part.total();
        let qkv = b.linear("qkv", rows, part.join(&part).join(&part))?;
        let qkv = b.op(map(n, 1), &[qkv])?;
        let mut piece = |i: u32| b.op(Op::Slice { start: i * len, len }, &[qkv]);
        let (q, k, v) = (piece(0)?, piece(1)?, piece(2)?);
        let q = b.op(Op::SplitHeads { heads, transposed: false }, &[q])?;
        let k = b.op(Op::SplitHeads { heads, transposed: true }, &[k])?;
        let v = b.op(Op::SplitHeads { heads, transposed: false }, &[v])?;
        let y = b.op(Op::MatMul, &[q, k])?;
        let y = b.op(Op::InvSqrt { n: self.head_dim }, &[y])?;
        let y = self.talk(b, "proj_l", y, n)?;
        let y = b.op(Op::Softmax, &[y])?;
        let y = self.talk(b, "proj_w", y, n)?;
        let y = b.op(Op::MatMul, &[y, v])?;
        let y = b.op(Op::MergeHeads { h: n, w: 1, transposed: false }, &[y])?;
        let y = b.op(ROWS, &[y])?;
        b.linear("proj", y, out)
    }

    fn of_first(&self, b: &mut Builder, rows: Val) -> Result<Val, ShapeError> {
        b.class("ClassAttention");
        let (heads, key_dim) = (self.heads, self.head_dim);
        let (part, out) = (Sections::runs(heads, key_dim), b.value(rows).sections.clone());
        let first = b.op(Op::Rows { start: 0, len: 1 }, &[rows])?;
        let q = b.linear("q", first, part.clone())?;
        let k = b.linear("k", rows, part.clone())?;
        let v = b.linear("v", rows, part)?;
        let y = b.op(Op::Attention { heads, key_dim }, &[q, k, v])?;
        b.linear("proj", y, out)
    }
}

impl Block for Cait {
    fn kind(&self) -> &'static str {
        if self.class { "class_attention" } else { "cait" }
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class(if self.class { "ClassAttentionBlock" } else { "CaitBlock" });
        let hidden = b.channels(x) * self.expand;
        let y = b.op_at("norm1", NORM, &[x])?;
        let y = b.within("attn", |b| if self.class { self.of_first(b, y) } else { self.among_all(b, y) })?;
        let rest = b.value(x).dims[1].saturating_sub(1);
        let read = if self.class { b.op(Op::Rows { start: 0, len: 1 }, &[x])? } else { x };
        let row = add(b, read, y, "gamma_1")?;
        let y = b.op_at("norm2", NORM, &[row])?;
        let y = mlp(b, y, hidden, ActFn::Gelu)?;
        let row = add(b, row, y, "gamma_2")?;
        if !self.class {
            return Ok(row);
        }
        let others = b.op(Op::Rows { start: 1, len: rest }, &[x])?;
        b.op(Op::ConcatRows, &[row, others])
    }
}
