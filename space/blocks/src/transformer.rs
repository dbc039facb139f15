//! The pre-norm transformer layer (Vaswani et al., 2017; pre-norm as in ViT): attention, then an MLP.

use crate::ir::{ActFn, Block, Builder, Op, Sections, ShapeError, Val};

/// Sizes of a layer on rows of `dim` channels; also the layer as a block.
#[derive(Clone, Debug, Hash)]
pub struct TransformerLayer {
    /// Channels of the rows.
    pub dim: u32,
    /// Attention heads.
    pub heads: u32,
    /// Channels of one head; the heads together need not have `dim` channels.
    pub key_dim: u32,
    /// Channels inside the MLP.
    pub hidden: u32,
    /// Activation of the MLP.
    pub act: ActFn,
    /// Epsilon of the norms in units of 1e-7.
    pub eps_e7: u32,
}

impl Block for TransformerLayer {
    fn kind(&self) -> &'static str {
        "transformer_layer"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        transformer_layer(b, x, self)
    }
}

/// Appends one layer: `norm1`, `attn.qkv`, `attn.proj`, `norm2`, `mlp.fc1`, `mlp.fc2`.
///
/// # Errors
/// When `x` is not rows of `dim` channels.
pub fn transformer_layer(b: &mut Builder, x: Val, l: &TransformerLayer) -> Result<Val, ShapeError> {
    b.class("TransformerLayer");
    let norm = Op::layer_norm(l.eps_e7);
    let y = b.op_at("norm1", norm.clone(), &[x])?;
    let y = b.within("attn", |b| attention(b, y, l))?;
    let x = b.add(x, y)?;
    let y = b.op_at("norm2", norm, &[x])?;
    let y = mlp(b, y, l.hidden, l.act)?;
    b.add(x, y)
}

/// Appends `mlp.fc1`, an activation and `mlp.fc2`, back to the channels of the input.
///
/// # Errors
/// When `x` is not rows.
pub(super) fn mlp(b: &mut Builder, x: Val, hidden: u32, act: ActFn) -> Result<Val, ShapeError> {
    let out = Sections::plain(b.channels(x));
    b.within("mlp", |b| {
        b.class("Mlp");
        let y = b.linear("fc1", x, Sections::plain(hidden))?;
        let y = b.act(act, y)?;
        b.linear("fc2", y, out)
    })
}

fn attention(b: &mut Builder, x: Val, l: &TransformerLayer) -> Result<Val, ShapeError> {
    b.class("Attention");
    let part = Sections::runs(l.heads, l.key_dim);
    let len = part.total();
    let qkv = b.linear("qkv", x, part.join(&part).join(&part))?;
    let mut piece = |i: u32| b.op(Op::Slice { start: i * len, len }, &[qkv]);
    let (q, k, v) = (piece(0)?, piece(1)?, piece(2)?);
    let y = b.op(Op::Attention { heads: l.heads, key_dim: l.key_dim }, &[q, k, v])?;
    b.linear("proj", y, Sections::plain(l.dim))
}
