//! The attention of MobileNetV4 (Qin et al., 2024) on the positions of a map: all heads share one key and one value
//! (multi-query attention), which may come from a smaller map.

use super::residual::scaled_residual;
use crate::ir::{Block, Builder, Op, Sections, ShapeError, Val};

/// A batch norm, multi-query attention and a layer scale, with a residual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MobileAttention {
    /// Number of heads.
    pub heads: u32,
    /// Channels of each head, of the key and of the value.
    pub key_dim: u32,
    /// Stride of the depthwise convolutions before key and value; 1 leaves them out.
    pub stride: u32,
    /// Drop rate of stochastic depth, in thousandths.
    pub drop: u32,
}

impl MobileAttention {
    /// Appends the key or the value, repeated for each head.
    fn shared(&self, b: &mut Builder, name: &'static str, x: Val) -> Result<Val, ShapeError> {
        let one = b.within(name, |b| {
            let mut y = x;
            if self.stride > 1 {
                y = b.depthwise("down_conv", y, 3, self.stride, false)?;
                y = b.bn("norm", y)?;
            }
            b.conv("proj", y, self.key_dim, 1, 1, false)
        })?;
        let all = vec![one; self.heads as usize];
        if self.heads == 1 { Ok(one) } else { b.op(Op::Concat, &all) }
    }

    fn attend(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let (heads, (h, w), out) = (self.heads, b.hw(x)?, b.value(x).sections.clone());
        let q = b.within("query", |b| b.conv_to("proj", x, Sections::runs(heads, self.key_dim), false))?;
        let k = self.shared(b, "key", x)?;
        let v = self.shared(b, "value", x)?;
        let q = b.op(Op::SplitHeads { heads, transposed: false }, &[q])?;
        let k = b.op(Op::SplitHeads { heads, transposed: true }, &[k])?;
        let v = b.op(Op::SplitHeads { heads, transposed: false }, &[v])?;
        let y = b.op(Op::MatMul, &[q, k])?;
        let y = b.op(Op::InvSqrt { n: self.key_dim }, &[y])?;
        let y = b.op(Op::Softmax, &[y])?;
        let y = b.op(Op::MatMul, &[y, v])?;
        let y = b.op(Op::MergeHeads { h, w, transposed: false }, &[y])?;
        b.within("output", |b| b.conv_to("proj", y, out, false))
    }
}

impl Block for MobileAttention {
    fn kind(&self) -> &'static str {
        "mobile_attention"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let y = b.bn("norm", x)?;
        let y = b.within("attn", |b| self.attend(b, y))?;
        scaled_residual(b, x, y, "layer_scale", self.drop)
    }
}
