//! Dilation of operations: a head that wants larger maps takes strides away, and windows reach as far as before.

use super::Op;

/// What becomes of the windows in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Dilation {
    /// How far the taps of kernels are apart.
    pub rate: u32,
    /// Whether strides become 1.
    pub unstride: bool,
}

impl Dilation {
    pub const NONE: Dilation = Dilation { rate: 1, unstride: false };

    /// The operation under this dilation.
    pub fn of(self, op: Op) -> Op {
        let step = |stride: u32| if self.unstride { 1 } else { stride };
        match op {
            Op::Conv { out, kernel, stride, pad, dilation, groups, bias } => {
                let rate = if kernel > 1 { self.rate } else { 1 };
                let (stride, pad, dilation) = (step(stride), pad * rate, dilation * rate);
                Op::Conv { out, kernel, stride, pad, dilation, groups, bias }
            }
            // Means over cells are for the stride alone, as timm's anti-aliasing is.
            Op::AvgPool { kernel, stride, pad: 0 } if kernel == stride && self.unstride => {
                Op::AvgPool { kernel: 1, stride: 1, pad: 0 }
            }
            Op::AvgPool { kernel, stride, pad } => Op::AvgPool { kernel, stride: step(stride), pad },
            Op::MaxPool { kernel, stride, pad } => Op::MaxPool { kernel, stride: step(stride), pad },
            Op::BiasTable { heads, h, w, stride, index } => Op::BiasTable { heads, h, w, stride: step(stride), index },
            #[rustfmt::skip]
            Op::Input | Op::BatchNorm | Op::LayerNorm { .. } | Op::GroupNorm { .. } | Op::Linear { .. } | Op::Act(_)
            | Op::GlobalPool { .. } | Op::Resize { .. } | Op::Unfold { .. } | Op::Fold { .. } | Op::Flatten
            | Op::Slice { .. } | Op::SliceHeads { .. } | Op::Concat | Op::ConcatRows | Op::Row { .. } | Op::Add | Op::Sub
            | Op::Mean | Op::Mul | Op::SumWidth | Op::Softmax | Op::InvSqrt { .. } | Op::Attention { .. }
            | Op::SplitHeads { .. } | Op::MergeHeads { .. } | Op::MatMul | Op::ChannelScale { .. } | Op::Learnt { .. }
            | Op::Dropout { .. } | Op::DropPath { .. } | Op::Shuffle { .. } | Op::ResizeNearest { .. }
            | Op::AdaptiveAvgPool { .. } | Op::Unflatten { .. } | Op::SplitRows { .. } | Op::L2Norm | Op::Rows { .. }
            | Op::LinearAttention { .. } | Op::Fourier | Op::Offsets { .. } | Op::Windows { .. }
            | Op::RelativeLogits { .. } | Op::ResizeCubic { .. } | Op::Unwindow { .. } | Op::Vector
            | Op::ConvTranspose { .. } | Op::Regions { .. } => op,
        }
    }
}
