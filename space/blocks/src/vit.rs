//! The first and last block of a vision transformer (Dosovitskiy et al., 2021; DeiT, Touvron et al., 2021).

use crate::ir::{Block, Builder, Groups, Op, Sections, ShapeError, Val};

/// Patch embedding: a row for each patch after a class token, plus learnt position embeddings.
#[derive(Clone, Debug, Hash)]
pub struct PatchEmbed {
    /// Side of a patch in pixels.
    pub patch: u32,
    /// Channels of the rows.
    pub dim: u32,
}

impl Block for PatchEmbed {
    fn kind(&self) -> &'static str {
        "patch_tokens"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let (kernel, channels) = (self.patch, self.dim);
        let out = Sections::plain(channels);
        let conv = Op::Conv { out, kernel, stride: kernel, pad: 0, dilation: 1, groups: Groups::Dense, bias: true };
        let y = b.within("patch_embed", |b| {
            b.class("PatchEmbed");
            b.op_at("proj", conv, &[x])
        })?;
        let (h, w) = b.hw(y)?;
        let y = b.op(Op::Flatten, &[y])?;
        let class = b.op_at("cls_token", Op::learnt_rows(1, channels), &[])?;
        let y = b.op(Op::ConcatRows, &[class, y])?;
        let positions = b.op_at("pos_embed", Op::learnt_rows(1 + h * w, channels), &[])?;
        b.add(y, positions)
    }
}

/// The classifier on the normalised class token.
#[derive(Clone, Debug, Hash)]
pub struct ClassTokenHead {
    /// Epsilon of the norm in units of 1e-7.
    pub eps_e7: u32,
    /// Number of classes.
    pub classes: u32,
}

impl Block for ClassTokenHead {
    fn kind(&self) -> &'static str {
        "class_token"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let y = b.op_at("norm", Op::layer_norm(self.eps_e7), &[x])?;
        let y = b.op(Op::Row { index: 0 }, &[y])?;
        b.linear("head", y, Sections::plain(self.classes))
    }
}
