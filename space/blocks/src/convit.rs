//! The parts of ConViT (d'Ascoli et al., 2021): attention with a gate between what patches contain and where they are.

use super::transformer::mlp;
use crate::ir::{ActFn, Block, Builder, Groups, LearntInit, Op, Sections, ShapeError, Val, Value};

const NORM: Op = Op::layer_norm(10);

/// Patch embedding: a row for each patch, plus learnt position embeddings.
#[derive(Clone, Debug, Hash)]
pub struct ConVitEmbed {
    /// Side of a patch in pixels.
    pub patch: u32,
    /// Channels of the rows.
    pub dim: u32,
}

impl Block for ConVitEmbed {
    fn kind(&self) -> &'static str {
        "convit_embed"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let (kernel, out) = (self.patch, Sections::plain(self.dim));
        let conv = Op::Conv { out, kernel, stride: kernel, pad: 0, dilation: 1, groups: Groups::Dense, bias: true };
        let y = b.within("patch_embed", |b| b.op_at("proj", conv, &[x]))?;
        let (h, w) = b.hw(y)?;
        let y = b.op(Op::Flatten, &[y])?;
        let places = b.op_at("pos_embed", Op::learnt_rows(h * w, self.dim), &[])?;
        b.add(y, places)
    }
}

/// The class token in front of the rows, which has no position.
#[derive(Clone, Debug, Hash)]
pub struct LateToken;

impl Block for LateToken {
    fn kind(&self) -> &'static str {
        "late_token"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let token = b.op_at("cls_token", Op::learnt_rows(1, b.channels(x)), &[])?;
        b.op(Op::ConcatRows, &[token, x])
    }
}

/// Attention and an MLP.
#[derive(Clone, Debug, Hash)]
pub struct ConVit {
    /// Height and width of the map of patches if attention is gated, by position.
    pub gated: Option<(u32, u32)>,
    /// Attention heads.
    pub heads: u32,
    /// Channels of a head.
    pub head_dim: u32,
    /// Hidden channels of the MLP over those of the rows.
    pub expand: u32,
}

impl ConVit {
    /// Queries, keys and values of each head, as matrices.
    fn split(&self, b: &mut Builder, x: Val, transposed: bool) -> Result<Val, ShapeError> {
        let rows = b.value(x).dims[0];
        let map = b.op(Op::Unflatten { h: rows, w: 1 }, &[x])?;
        b.op(Op::SplitHeads { heads: self.heads, transposed }, &[map])
    }

    /// Weights of attention by position: a softmax of a linear function of the offsets from query to key.
    fn by_position(&self, b: &mut Builder, x: Val, (h, w): (u32, u32)) -> Result<Val, ShapeError> {
        let heads = Sections::runs(self.heads, 1);
        let offsets = b.op(Op::Offsets { h, w }, &[x])?;
        let y = b.linear("pos_proj", offsets, heads)?;
        let y = b.op(Op::Unflatten { h: h * w, w: h * w }, &[y])?;
        b.op(Op::Softmax, &[y])
    }

    fn gated(&self, b: &mut Builder, x: Val, at: (u32, u32)) -> Result<Val, ShapeError> {
        b.class("GatedAttention");
        let (part, out) = (Sections::runs(self.heads, self.head_dim), b.value(x).sections.clone());
        let (len, rows) = (part.total(), b.value(x).dims[0]);
        let qk = b.op_at("qk", Op::Linear { out: part.join(&part), bias: false }, &[x])?;
        let q = b.op(Op::Slice { start: 0, len }, &[qk])?;
        let k = b.op(Op::Slice { start: len, len }, &[qk])?;
        let (q, k) = (self.split(b, q, false)?, self.split(b, k, true)?);
        let y = b.op(Op::MatMul, &[q, k])?;
        let y = b.op(Op::InvSqrt { n: self.head_dim }, &[y])?;
        let content = b.op(Op::Softmax, &[y])?;
        let position = self.by_position(b, x, at)?;
        let value = Value::rows(&[1], Sections::runs(self.heads, 1));
        let gate = b.op_at("gating_param", Op::Learnt { value, axes: 1, init: LearntInit::Ones }, &[])?;
        let gate = b.op(Op::Unflatten { h: 1, w: 1 }, &[gate])?;
        let gate = b.act(ActFn::Sigmoid, gate)?;
        // The gate's share of the one and the rest of the other. Their sum over the keys is 1, so nothing has to be divided.
        let y = b.op(Op::Sub, &[position, content])?;
        let y = b.op(Op::Mul, &[y, gate])?;
        let y = b.add(content, y)?;
        let v = b.op_at("v", Op::Linear { out: part, bias: false }, &[x])?;
        let v = self.split(b, v, false)?;
        let y = b.op(Op::MatMul, &[y, v])?;
        let y = b.op(Op::MergeHeads { h: rows, w: 1, transposed: false }, &[y])?;
        let y = b.op(Op::Flatten, &[y])?;
        b.linear("proj", y, out)
    }

    fn plain(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("Attention");
        let (part, out) = (Sections::runs(self.heads, self.head_dim), b.value(x).sections.clone());
        let len = part.total();
        let qkv = b.op_at("qkv", Op::Linear { out: part.join(&part).join(&part), bias: false }, &[x])?;
        let mut piece = |i: u32| b.op(Op::Slice { start: i * len, len }, &[qkv]);
        let (q, k, v) = (piece(0)?, piece(1)?, piece(2)?);
        let y = b.op(Op::Attention { heads: self.heads, key_dim: self.head_dim }, &[q, k, v])?;
        b.linear("proj", y, out)
    }
}

impl Block for ConVit {
    fn kind(&self) -> &'static str {
        if self.gated.is_some() { "convit_gated" } else { "convit" }
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("ConVitBlock");
        let hidden = b.channels(x) * self.expand;
        let y = b.op_at("norm1", NORM, &[x])?;
        let y = b.within("attn", |b| match self.gated {
            Some(at) => self.gated(b, y, at),
            None => self.plain(b, y),
        })?;
        let x = b.add(x, y)?;
        let y = b.op_at("norm2", NORM, &[x])?;
        let y = mlp(b, y, hidden, ActFn::Gelu)?;
        b.add(x, y)
    }
}
