//! The parts of CrossViT (Chen et al., 2021): two vision transformers on patches of two sizes, whose class tokens attend to each
//! other's patches.

use crate::ir::{ActFn, Block, Builder, Groups, Op, Sections, ShapeError, Val};

const NORM: Op = Op::layer_norm(10);

/// Patch embedding of one of two branches, of the image in the branch's size: a row for each patch after a class token, plus
/// learnt position embeddings.
#[derive(Clone, Debug, Hash)]
pub struct CrossVitEmbed {
    /// Which branch.
    pub branch: u32,
    /// Side of the branch's image in pixels.
    pub side: u32,
    /// Side of a patch in pixels.
    pub patch: u32,
    /// Channels of the rows.
    pub dim: u32,
}

impl Block for CrossVitEmbed {
    fn kind(&self) -> &'static str {
        "crossvit_embed"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let (side, kernel, out) = (self.side, self.patch, Sections::plain(self.dim));
        let x = if b.hw(x)? == (side, side) { x } else { b.op(Op::ResizeCubic { h: side, w: side }, &[x])? };
        let conv = Op::Conv { out, kernel, stride: kernel, pad: 0, dilation: 1, groups: Groups::Dense, bias: true };
        let y = b.within("patch_embed", |b| {
            b.within(self.branch, |b| {
                b.class("PatchEmbed");
                let y = b.op_at("proj", conv, &[x])?;
                b.op(Op::Flatten, &[y])
            })
        })?;
        let rows = 1 + b.value(y).dims[0];
        let class = b.op_at(("cls_token_", self.branch), Op::learnt_rows(1, self.dim), &[])?;
        let y = b.op(Op::ConcatRows, &[class, y])?;
        let places = b.op_at(("pos_embed_", self.branch), Op::learnt_rows(rows, self.dim), &[])?;
        b.add(y, places)
    }
}

/// The class token alone, to the channels of the other branch.
#[derive(Clone, Debug, Hash)]
pub struct CrossVitToken {
    /// Which branch.
    pub branch: u32,
    /// Output channels.
    pub out: u32,
}

/// A norm, GELU and a linear layer of a branch, in a list.
fn project(b: &mut Builder, list: &'static str, branch: u32, x: Val, out: u32) -> Result<Val, ShapeError> {
    b.within(list, |b| {
        b.within(branch, |b| {
            b.class("Projection");
            let y = b.op_at(0u32, NORM, &[x])?;
            let y = b.act(ActFn::Gelu, y)?;
            b.op_at(2u32, Op::Linear { out: Sections::plain(out), bias: true }, &[y])
        })
    })
}

impl Block for CrossVitToken {
    fn kind(&self) -> &'static str {
        "crossvit_token"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let token = b.op(Op::Rows { start: 0, len: 1 }, &[x])?;
        project(b, "projs", self.branch, token, self.out)
    }
}

/// Attention of a branch's class token, in the channels of the other branch, to that branch's patches; and back. It reads the
/// token, the rows of the other branch and those of its own.
#[derive(Clone, Debug, Hash)]
pub struct CrossVitFusion {
    /// Which branch.
    pub branch: u32,
    /// Attention heads.
    pub heads: u32,
}

impl CrossVitFusion {
    /// The token after attention of the first of `rows`, which is the token itself.
    fn attend(&self, b: &mut Builder, token: Val, rows: Val) -> Result<Val, ShapeError> {
        b.class("CrossAttentionBlock");
        let (dim, heads) = (b.channels(rows), self.heads);
        let (key_dim, out) = (dim / heads.max(1), Sections::plain(dim));
        let part = Sections::runs(heads, key_dim);
        let y = b.op_at("norm1", NORM, &[rows])?;
        let y = b.within("attn", |b| {
            b.class("CrossAttention");
            let first = b.op(Op::Rows { start: 0, len: 1 }, &[y])?;
            let q = b.linear("wq", first, part.clone())?;
            let k = b.linear("wk", y, part.clone())?;
            let v = b.linear("wv", y, part)?;
            let y = b.op(Op::Attention { heads, key_dim }, &[q, k, v])?;
            b.linear("proj", y, out)
        })?;
        b.add(token, y)
    }
}

/// All rows but the first, which is the class token.
fn patches(b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
    let len = b.value(x).dims[0].saturating_sub(1);
    b.op(Op::Rows { start: 1, len }, &[x])
}

impl Block for CrossVitFusion {
    fn kind(&self) -> &'static str {
        "crossvit_fusion"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        self.lower_all(b, &[x])
    }

    fn lower_all(&self, b: &mut Builder, values: &[Val]) -> Result<Val, ShapeError> {
        // The fusions of both branches are parts of one module, which is named once.
        if self.branch == 0 {
            b.class("MultiScaleBlock");
        }
        let &[token, other, own] = values else {
            return Err(b.error(format!("{} values", values.len()), "a class token and the rows of both branches"));
        };
        let others = patches(b, other)?;
        let rows = b.op(Op::ConcatRows, &[token, others])?;
        let y = b.within("fusion", |b| b.within(self.branch, |b| self.attend(b, token, rows)))?;
        let out = b.channels(own);
        let y = project(b, "revert_projs", self.branch, y, out)?;
        let rest = patches(b, own)?;
        b.op(Op::ConcatRows, &[y, rest])
    }
}

/// A classifier on the normalised class token of each branch; their mean is the output, and the loss is on it.
#[derive(Clone, Debug, Hash)]
pub struct CrossVitHead {
    /// Number of classes.
    pub classes: u32,
}

impl CrossVitHead {
    fn one(&self, b: &mut Builder, branch: u32, x: Val) -> Result<Val, ShapeError> {
        let y = b.within("norm", |b| b.op_at(branch, NORM, &[x]))?;
        let y = b.op(Op::Row { index: 0 }, &[y])?;
        let out = Sections::plain(self.classes);
        b.within("head", |b| b.op_at(branch, Op::Linear { out, bias: true }, &[y]))
    }
}

impl Block for CrossVitHead {
    fn kind(&self) -> &'static str {
        "crossvit_head"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        self.lower_all(b, &[x])
    }

    fn lower_all(&self, b: &mut Builder, values: &[Val]) -> Result<Val, ShapeError> {
        let &[small, large] = values else {
            return Err(b.error(format!("{} values", values.len()), "the rows of both branches"));
        };
        let (first, second) = (self.one(b, 0, small)?, self.one(b, 1, large)?);
        b.op(Op::Mean, &[first, second])
    }
}
