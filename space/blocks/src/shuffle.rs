//! The unit of ShuffleNetV2 (Ma et al., 2018): half of the channels pass a bottleneck with a depthwise convolution, and a
//! shuffle mixes them with the other half.

use super::conv_bn::{filter, pointwise};
use crate::ir::{ActFn, Block, Builder, Groups, Op, Sections, ShapeError, Val};

/// `branch2` beside the untouched half, or beside `branch1` in the first unit of a stage.
#[derive(Clone, Debug, Hash)]
pub struct ShuffleUnit {
    /// Output channels.
    pub out: u32,
    /// Kernel of the depthwise convolutions.
    pub kernel: u32,
    /// Stride of a unit in which both branches read all channels; `None` for one that splits them.
    pub first: Option<u32>,
}

impl Block for ShuffleUnit {
    fn kind(&self) -> &'static str {
        "shuffle_unit"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let half = Sections::plain(self.out / 2);
        let window = (self.kernel, self.first.unwrap_or(1));
        let (kept, read) = match self.first {
            Some(_) => {
                let shortcut = b.within("branch1", |b| {
                    let y = filter(b, 0, x, window, Groups::Depthwise)?;
                    let y = pointwise(b, 2, y, half.clone())?;
                    b.act(ActFn::Relu, y)
                })?;
                (shortcut, x)
            }
            None => {
                let len = b.channels(x) / 2;
                (b.op(Op::Slice { start: 0, len }, &[x])?, b.op(Op::Slice { start: len, len }, &[x])?)
            }
        };
        let made = b.within("branch2", |b| {
            let y = pointwise(b, 0, read, half.clone())?;
            let y = b.act(ActFn::Relu, y)?;
            let y = filter(b, 3, y, window, Groups::Depthwise)?;
            let y = pointwise(b, 5, y, half.clone())?;
            b.act(ActFn::Relu, y)
        })?;
        let all = b.op(Op::Concat, &[kept, made])?;
        b.op(Op::Shuffle { groups: 2 }, &[all])
    }
}

/// The largest of each window of 3x3.
#[derive(Clone, Debug, Hash)]
pub struct MaxPool {
    /// Stride.
    pub stride: u32,
}

impl Block for MaxPool {
    fn kind(&self) -> &'static str {
        "max_pool"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.op(Op::MaxPool { kernel: 3, stride: self.stride, pad: 1 }, &[x])
    }
}
