//! The transformer layer of MobileViTv2 (Mehta and Rastegari, 2022). Its separable attention weights the keys of all patches
//! by one score each, sums them to a context, and scales the values by the context: linear in the number of patches.

use crate::ir::{ActFn, Builder, Groups, Op, Sections, ShapeError, Val};

/// Sizes of a layer on a map of `dim` channels, with a column for each patch and a row for each pixel of a patch.
#[derive(Clone, Debug, Hash)]
pub struct SeparableLayer {
    /// Channels of the map.
    pub dim: u32,
    /// Channels inside the MLP.
    pub hidden: u32,
    /// Activation of the MLP.
    pub act: ActFn,
}

/// Appends one layer: `norm1`, `attn.qkv_proj`, `attn.out_proj`, `norm2`, `mlp.fc1`, `mlp.fc2`.
///
/// # Errors
/// When `x` is not a map of `dim` channels.
pub fn separable_layer(b: &mut Builder, x: Val, l: &SeparableLayer) -> Result<Val, ShapeError> {
    b.class("TransformerLayer");
    let y = b.op_at("norm1", Op::GROUP_NORM, &[x])?;
    let y = b.within("attn", |b| attention(b, y, l.dim))?;
    let x = b.add(x, y)?;
    let y = b.op_at("norm2", Op::GROUP_NORM, &[x])?;
    let y = b.within("mlp", |b| {
        b.class("ConvMlp");
        let y = b.conv("fc1", y, l.hidden, 1, 1, true)?;
        let y = b.act(l.act, y)?;
        b.conv("fc2", y, l.dim, 1, 1, true)
    })?;
    b.add(x, y)
}

fn attention(b: &mut Builder, x: Val, dim: u32) -> Result<Val, ShapeError> {
    b.class("SeparableAttention");
    let out = Sections::plain(1).join(&Sections::plain(dim)).join(&Sections::plain(dim));
    let qkv = Op::Conv { out, kernel: 1, stride: 1, pad: 0, dilation: 1, groups: Groups::Dense, bias: true };
    let qkv = b.op_at("qkv_proj", qkv, &[x])?;
    let mut piece = |start, len| b.op(Op::Slice { start, len }, &[qkv]);
    let (score, key, value) = (piece(0, 1)?, piece(1, dim)?, piece(1 + dim, dim)?);
    let score = b.op(Op::Softmax, &[score])?;
    let weighted = b.op(Op::Mul, &[key, score])?;
    let context = b.op(Op::SumWidth, &[weighted])?;
    let value = b.act(ActFn::Relu, value)?;
    let y = b.op(Op::Mul, &[value, context])?;
    b.conv("out_proj", y, dim, 1, 1, true)
}
