//! The attention of EfficientFormerV2 (Li et al., 2022) on the positions of a map: queries, keys and values by 1x1
//! convolutions, biases by distance, talking heads, and a depthwise convolution of the values added to the result.

use super::conv_bn::ConvBn;
use crate::ir::{ActFn, Builder, Groups, Op, Sections, ShapeError, Val};

/// Sizes of the attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attention2d {
    /// Number of heads.
    pub heads: u32,
    /// Channels of the queries, and of the keys, of one head.
    pub key_dim: u32,
    /// Value channels over key channels.
    pub ratio: u32,
}

impl Attention2d {
    fn keys(&self) -> ConvBn {
        ConvBn::dense(Sections::runs(self.heads, self.key_dim), 1).bias()
    }

    fn values(&self) -> ConvBn {
        ConvBn::dense(Sections::runs(self.heads, self.key_dim * self.ratio), 1).bias()
    }

    /// Self-attention. With a stride, a convolution shrinks the map first, and the result is resized back.
    ///
    /// # Errors
    /// When `x` is not a map.
    pub(super) fn on_map(&self, b: &mut Builder, x: Val, stride: Option<u32>) -> Result<Val, ShapeError> {
        b.class("Attention2d");
        let ((h, w), channels) = (b.hw(x)?, b.channels(x));
        let small = match stride {
            Some(stride) => ConvBn::depthwise(3).stride(stride).bias().append(b, "stride_conv", x)?,
            None => x,
        };
        let q = self.keys().append(b, "q", small)?;
        let k = self.keys().append(b, "k", small)?;
        let v = self.values().append(b, "v", small)?;
        let local = ConvBn::depthwise(3).bias().append(b, "v_local", v)?;
        let y = self.attend(b, [q, k, v], 1, true)?;
        let mut y = b.add(y, local)?;
        if b.hw(y)? != (h, w) {
            y = b.op(Op::Resize { h, w, align_corners: false }, &[y])?;
        }
        self.project(b, y, channels)
    }

    /// Attention with queries on every `stride`-th row and column, which gives a smaller map of `out` channels.
    ///
    /// # Errors
    /// When `x` is not a map.
    pub(super) fn downsample(&self, b: &mut Builder, x: Val, out: u32, stride: u32) -> Result<Val, ShapeError> {
        b.class("Attention2dDownsample");
        let q = b.within("q", |b| {
            b.class("LocalGlobalQuery");
            let local = b.depthwise("local", x, 3, stride, true)?;
            let picked = b.op(Op::AvgPool { kernel: 1, stride, pad: 0 }, &[x])?;
            let y = b.add(local, picked)?;
            self.keys().append(b, "proj", y)
        })?;
        let k = self.keys().append(b, "k", x)?;
        let v = self.values().append(b, "v", x)?;
        let local = ConvBn::depthwise(3).stride(stride).bias().append(b, "v_local", v)?;
        let y = self.attend(b, [q, k, v], stride, false)?;
        let y = b.add(y, local)?;
        self.project(b, y, out)
    }

    fn project(&self, b: &mut Builder, x: Val, out: u32) -> Result<Val, ShapeError> {
        let y = b.act(ActFn::Gelu, x)?;
        ConvBn::dense(Sections::plain(out), 1).bias().append(b, "proj", y)
    }

    fn attend(&self, b: &mut Builder, [q, k, v]: [Val; 3], stride: u32, talk: bool) -> Result<Val, ShapeError> {
        let heads = self.heads;
        let (queries, keys) = (b.hw(q)?, b.hw(k)?);
        let q = b.op(Op::SplitHeads { heads, transposed: false }, &[q])?;
        let k = b.op(Op::SplitHeads { heads, transposed: true }, &[k])?;
        let v = b.op(Op::SplitHeads { heads, transposed: false }, &[v])?;
        let y = b.op(Op::MatMul, &[q, k])?;
        let y = b.op(Op::InvSqrt { n: self.key_dim }, &[y])?;
        let bias = b.op(Op::BiasTable { heads, h: keys.0, w: keys.1, stride, index: false }, &[])?;
        let mut y = b.add(y, bias)?;
        let out = Sections::runs(heads, 1);
        let talking = Op::Conv { out, kernel: 1, stride: 1, pad: 0, dilation: 1, groups: Groups::Dense, bias: true };
        if talk {
            y = b.op_at("talking_head1", talking.clone(), &[y])?;
        }
        y = b.op(Op::Softmax, &[y])?;
        if talk {
            y = b.op_at("talking_head2", talking, &[y])?;
        }
        let y = b.op(Op::MatMul, &[y, v])?;
        b.op(Op::MergeHeads { h: queries.0, w: queries.1, transposed: false }, &[y])
    }
}
