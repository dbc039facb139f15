//! The parts of PiT (Heo et al., 2021): a vision transformer whose patches become fewer and wider from stage to stage.

use crate::ir::{Block, Builder, Groups, Layout, LearntInit, Op, Sections, ShapeError, Val, Value};

const ROWS: Op = Op::Unfold { patch: 1, layout: Layout::Rows };

/// Patches that overlap, learnt position embeddings, and learnt tokens in front.
#[derive(Clone, Debug, Hash)]
pub struct PitEmbed {
    /// Side of a patch in pixels.
    pub patch: u32,
    /// Pixels from patch to patch.
    pub stride: u32,
    /// Channels of the rows.
    pub dim: u32,
    /// Tokens: one for the class, and one more for distillation.
    pub tokens: u32,
}

impl Block for PitEmbed {
    fn kind(&self) -> &'static str {
        "pit_embed"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let out = Sections::plain(self.dim);
        let (kernel, stride, groups) = (self.patch, self.stride, Groups::Dense);
        let conv = Op::Conv { out: out.clone(), kernel, stride, pad: 0, dilation: 1, groups, bias: true };
        let y = b.within("patch_embed", |b| b.op_at("conv", conv, &[x]))?;
        let (h, w) = b.hw(y)?;
        let value = Value::map(out.clone(), h, w);
        let places = Op::Learnt { value, axes: 4, init: LearntInit::Truncated };
        let places = b.op_at("pos_embed", places, &[])?;
        let y = b.add(y, places)?;
        let y = b.op(ROWS, &[y])?;
        let tokens = Value::rows(&[1, self.tokens], out);
        let tokens = b.op_at("cls_token", Op::Learnt { value: tokens, axes: 3, init: LearntInit::Truncated }, &[])?;
        b.op(Op::ConcatRows, &[tokens, y])
    }
}

/// A depthwise convolution with a stride of the patches to more channels, and a linear layer of the tokens.
#[derive(Clone, Debug, Hash)]
pub struct PitPool {
    /// Output channels, a multiple of the input's.
    pub out: u32,
    /// Number of tokens.
    pub tokens: u32,
    /// Side of the map of patches.
    pub side: u32,
}

impl Block for PitPool {
    fn kind(&self) -> &'static str {
        "pit_pool"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("Pooling");
        let (out, len) = (Sections::plain(self.out), self.side * self.side);
        let (tokens, (h, w)) = (self.tokens, (self.side, self.side));
        let first = b.op(Op::Rows { start: 0, len: tokens }, &[x])?;
        let first = b.linear("fc", first, out.clone())?;
        let y = b.op(Op::Rows { start: tokens, len }, &[x])?;
        let y = b.op(Op::Fold { patch: 1, layout: Layout::Rows, h, w }, &[y])?;
        let conv = Op::Conv { out, kernel: 3, stride: 2, pad: 1, dilation: 1, groups: Groups::Depthwise, bias: true };
        let y = b.op_at("conv", conv, &[y])?;
        let y = b.op(ROWS, &[y])?;
        b.op(Op::ConcatRows, &[first, y])
    }
}

/// The classifiers on the normalised tokens: `head`, and `head_dist` on the second; their mean is the output.
#[derive(Clone, Debug, Hash)]
pub struct TokenHead {
    /// Whether there are two.
    pub distilled: bool,
    /// Number of classes.
    pub classes: u32,
}

impl Block for TokenHead {
    fn kind(&self) -> &'static str {
        "token_head"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let tokens = b.op(Op::Rows { start: 0, len: 1 + u32::from(self.distilled) }, &[x])?;
        let tokens = b.op_at("norm", Op::layer_norm(10), &[tokens])?;
        let mut one = |index, name| {
            let y = b.op(Op::Row { index }, &[tokens])?;
            let y = b.linear(name, y, Sections::plain(self.classes))?;
            b.head(y);
            Ok(y)
        };
        let first = one(0, "head")?;
        if !self.distilled {
            return Ok(first);
        }
        let second = one(1, "head_dist")?;
        b.op(Op::Mean, &[first, second])
    }
}
