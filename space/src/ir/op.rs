//! The closed set of primitive operations. A new one breaks every reader's `match` at compile time, on purpose.

use super::Sections;

/// Epsilon of every batch norm here.
pub const BN_EPS: f64 = 1e-5;

/// Epsilon of every group norm here.
pub const GROUP_NORM_EPS: f64 = 1e-5;

/// Activation functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActFn {
    /// max(x, 0)
    Relu,
    /// min(max(x, 0), 6)
    Relu6,
    /// x * sigmoid(x)
    Silu,
    /// x * Phi(x), exact
    Gelu,
    /// 1 / (1 + exp(-x))
    Sigmoid,
    /// relu6(x + 3) / 6
    HardSigmoid,
    /// x * relu6(x + 3) / 6
    HardSwish,
}

/// Which input channels an output channel of a convolution reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Groups {
    /// All.
    Dense,
    /// The same channel; there are as many output channels as input channels.
    Depthwise,
}

/// The layout of patches after [`Op::Unfold`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// `[P, N, C]`: pixels of a patch, patches, channels.
    Rows,
    /// `[C, P, N]`: a map with a row for each pixel of a patch and a column for each patch.
    Map,
}

/// The initialisation of convolutions and linear layers in a family's reference code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum InitStyle {
    /// Convolution: normal, sqrt(2 / fan_out). Linear: truncated normal 0.02, bias 0.
    #[default]
    Mobile,
    /// Convolution: PyTorch's default. Linear: truncated normal 0.02, bias 0.
    Former,
}

/// A primitive operation. Shapes are for one image: the batch axis is not part of the graph.
#[allow(missing_docs)] // each operation's line names its fields
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// The image.
    Input,
    /// 2-D convolution over a map; padding `pad` on all sides.
    Conv { out: Sections, kernel: u32, stride: u32, pad: u32, groups: Groups, bias: bool },
    /// Batch normalisation over the channels of a map or of a vector.
    BatchNorm,
    /// Layer normalisation over the channels of rows; `eps` in units of 1e-7.
    LayerNorm { eps_e7: u32 },
    /// Group normalisation with one group, over the whole map.
    GroupNorm,
    /// Linear layer over the last axis.
    Linear { out: Sections, bias: bool },
    /// An activation function.
    Act(ActFn),
    /// Average pooling; windows at the border divide by the number of pixels inside.
    AvgPool { kernel: u32, stride: u32, pad: u32 },
    /// Mean over all positions of a map, or over rows; a 1x1 map if `keep`, else a vector.
    GlobalPool { keep: bool },
    /// Bilinear resize of a map.
    Resize { h: u32, w: u32, align_corners: bool },
    /// A map to patches of `patch` x `patch` pixels.
    Unfold { patch: u32, layout: Layout },
    /// The inverse of `Unfold`, to a map of `h` x `w`.
    Fold { patch: u32, layout: Layout, h: u32, w: u32 },
    /// A map to rows: `[C, H, W]` to `[H * W, C]`.
    Flatten,
    /// Channels `start .. start + len`.
    Slice { start: u32, len: u32 },
    /// Channels `start .. start + len` of each of `heads` equal parts.
    SliceHeads { heads: u32, start: u32, len: u32 },
    /// Concatenates channels.
    Concat,
    /// Concatenates rows, along the axis before the channels.
    ConcatRows,
    /// One row, by index.
    Row { index: u32 },
    /// Sum, with broadcasting.
    Add,
    /// Difference of two values.
    Sub,
    /// Mean of two values.
    Mean,
    /// Product, with broadcasting.
    Mul,
    /// Sum over the width of a map, which becomes 1.
    SumWidth,
    /// Softmax over the last axis.
    Softmax,
    /// Multiplication by `n^-0.5`.
    InvSqrt { n: u32 },
    /// Scaled dot-product attention of rows q, k and v, with a bias on the logits if there is a fourth input.
    Attention { heads: u32, key_dim: u32 },
    /// `[heads * d, H, W]` to `[heads, H * W, d]`, or to `[heads, d, H * W]` when transposed.
    SplitHeads { heads: u32, transposed: bool },
    /// `[heads, N, d]` to `[heads * d, h, w]`.
    MergeHeads { h: u32, w: u32 },
    /// Matrix product over the last two axes.
    MatMul,
    /// A learnt scale for each channel (layer scale).
    ChannelScale { init_e7: u32 },
    /// Learnt attention biases `[heads, queries, keys]`, by the distance of query and key on a grid of `h` x `w` keys, with
    /// queries on every `stride`-th row and column. `index` says whether checkpoints hold the table of indices.
    BiasTable { heads: u32, h: u32, w: u32, stride: u32, index: bool },
    /// A learnt tensor of rows, the same for every image.
    Learnt { rows: u32, channels: u32 },
    /// Dropout: in training, zeroes elements with probability `permille` / 1000.
    Dropout { permille: u32 },
    /// Stochastic depth: in training, drops the branch of an image with probability `permille` / 1000.
    DropPath { permille: u32 },
}

/// What kind of work an operation does. A reader that treats many operations alike matches on this instead of listing them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpKind {
    /// The image.
    Input,
    /// Sums of products over channels or positions: all that has multiply-accumulates.
    Contraction(Contraction),
    /// Normalisation by a mean and a variance.
    Norm,
    /// Sums, means and softmax over an axis.
    Reduction,
    /// Average pooling.
    Pool,
    /// Each output element depends on the same element of each input, which may broadcast.
    Elementwise,
    /// Moves, selects or resamples elements. With one input the result may be a view of it: a resize to the same size is.
    Movement,
    /// A tensor that does not depend on the image.
    Parameter,
    /// The identity outside training.
    Dropout,
}

/// An operation that has multiply-accumulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contraction {
    /// [`Op::Conv`].
    Conv {
        /// Side of the kernel.
        kernel: u32,
        /// Dense or depthwise.
        groups: Groups,
    },
    /// [`Op::Linear`].
    Linear,
    /// [`Op::MatMul`].
    MatMul,
    /// [`Op::Attention`].
    Attention,
}

impl Op {
    /// Its name, for histograms, tables and messages.
    pub fn name(&self) -> &'static str {
        self.describe().0
    }

    /// What kind of work it does.
    pub fn kind(&self) -> OpKind {
        self.describe().1
    }

    fn describe(&self) -> (&'static str, OpKind) {
        use OpKind::{Dropout, Elementwise, Input, Movement, Norm, Parameter, Pool, Reduction};
        let contraction = OpKind::Contraction;
        match *self {
            Op::Input => ("input", Input),
            Op::Conv { kernel, groups, .. } => {
                let name = if groups == Groups::Depthwise { "depthwise_conv" } else { "conv" };
                (name, contraction(Contraction::Conv { kernel, groups }))
            }
            Op::Linear { .. } => ("linear", contraction(Contraction::Linear)),
            Op::MatMul => ("mat_mul", contraction(Contraction::MatMul)),
            Op::Attention { .. } => ("attention", contraction(Contraction::Attention)),
            Op::BatchNorm => ("batch_norm", Norm),
            Op::LayerNorm { .. } => ("layer_norm", Norm),
            Op::GroupNorm => ("group_norm", Norm),
            Op::Softmax => ("softmax", Reduction),
            Op::SumWidth => ("sum_width", Reduction),
            Op::GlobalPool { .. } => ("global_pool", Reduction),
            Op::AvgPool { .. } => ("avg_pool", Pool),
            Op::Act(_) => ("act", Elementwise),
            Op::Add => ("add", Elementwise),
            Op::Sub => ("sub", Elementwise),
            Op::Mean => ("mean", Elementwise),
            Op::Mul => ("mul", Elementwise),
            Op::InvSqrt { .. } => ("inv_sqrt", Elementwise),
            Op::ChannelScale { .. } => ("channel_scale", Elementwise),
            Op::Resize { .. } => ("resize", Movement),
            Op::Unfold { .. } => ("unfold", Movement),
            Op::Fold { .. } => ("fold", Movement),
            Op::Flatten => ("flatten", Movement),
            Op::Slice { .. } => ("slice", Movement),
            Op::SliceHeads { .. } => ("slice_heads", Movement),
            Op::Concat => ("concat", Movement),
            Op::ConcatRows => ("concat_rows", Movement),
            Op::Row { .. } => ("row", Movement),
            Op::SplitHeads { .. } => ("split_heads", Movement),
            Op::MergeHeads { .. } => ("merge_heads", Movement),
            Op::BiasTable { .. } => ("bias_table", Parameter),
            Op::Learnt { .. } => ("learnt", Parameter),
            Op::Dropout { .. } => ("dropout", Dropout),
            Op::DropPath { .. } => ("drop_path", Dropout),
        }
    }
}
