//! The pre-norm transformer layer (Vaswani et al., 2017; pre-norm as in ViT): attention, then a two-layer perceptron.

use crate::ir::{ActFn, Builder, Op, Sections, ShapeError, Val};

/// Sizes of a layer over rows of `dim` channels.
#[derive(Clone, Debug, Hash)]
pub struct Layer {
    /// Channels of the rows.
    pub dim: u32,
    /// Attention heads; they divide `dim`.
    pub heads: u32,
    /// Channels inside the perceptron.
    pub hidden: u32,
    /// Activation of the perceptron.
    pub act: ActFn,
    /// Epsilon of the norms in units of 1e-7.
    pub eps_e7: u32,
}

/// Appends one layer: `norm1`, `attn.qkv`, `attn.proj`, `norm2`, `mlp.fc1`, `mlp.fc2`.
///
/// # Errors
/// When the heads do not divide the channels, or `x` is no rows of `dim` channels.
pub fn transformer_layer(b: &mut Builder, x: Val, l: &Layer) -> Result<Val, ShapeError> {
    if l.heads == 0 || l.dim % l.heads != 0 {
        return Err(b.fault(format!("{} channels, {} heads", l.dim, l.heads), "heads that divide the channels"));
    }
    let norm = Op::LayerNorm { eps_e7: l.eps_e7 };
    let y = b.op_at("norm1", norm.clone(), &[x])?;
    let y = b.within("attn", |b| attention(b, y, l))?;
    let x = b.add(x, y)?;
    let y = b.op_at("norm2", norm, &[x])?;
    let y = b.within("mlp", |b| {
        let y = b.linear("fc1", y, Sections::plain(l.hidden))?;
        let y = b.act(l.act, y)?;
        b.linear("fc2", y, Sections::plain(l.dim))
    })?;
    b.add(x, y)
}

fn attention(b: &mut Builder, x: Val, l: &Layer) -> Result<Val, ShapeError> {
    let key_dim = l.dim / l.heads;
    let part = Sections::runs(l.heads, key_dim);
    let qkv = b.linear("qkv", x, part.join(&part).join(&part))?;
    let mut piece = |i: u32| b.op(Op::Slice { start: i * l.dim, len: l.dim }, &[qkv]);
    let (q, k, v) = (piece(0)?, piece(1)?, piece(2)?);
    let y = b.op(Op::Attention { heads: l.heads, key_dim }, &[q, k, v])?;
    b.linear("proj", y, Sections::plain(l.dim))
}
