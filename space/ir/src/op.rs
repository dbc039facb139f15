//! The closed set of primitive operations. A new one breaks every reader's `match` at compile time, on purpose.

use super::{Sections, Value};

/// Epsilon of the batch norms of a network that says nothing else, in units of 1e-7.
pub const BN_EPS_E7: u32 = 100;

/// What is added to the divisor of linear attention.
pub const LINEAR_ATTENTION_EPS: f64 = 1e-5;

/// Channels of the sines and cosines of positions.
pub const FOURIER_CHANNELS: u32 = 64;

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
    /// One: each input channel is read by the same number of output channels in a row, which is 1 unless there are more
    /// output channels than input channels.
    Depthwise,
    /// The same channel, under a kernel that is one row.
    DepthwiseRow,
    /// The same channel, under a kernel that is one column.
    DepthwiseColumn,
    /// Those of its own group, of so many equal ones.
    Grouped(u32),
}

impl Groups {
    /// Height and width of what is `side` along the kernel and `flat` across a kernel that is one row or column.
    pub fn pair(self, side: u32, flat: u32) -> [u32; 2] {
        match self {
            Groups::Dense | Groups::Depthwise | Groups::Grouped(_) => [side; 2],
            Groups::DepthwiseRow => [flat, side],
            Groups::DepthwiseColumn => [side, flat],
        }
    }

    /// The number of groups of a convolution that reads so many channels.
    pub fn count(self, channels: u32) -> u32 {
        match self {
            Groups::Dense => 1,
            Groups::Grouped(n) => n,
            Groups::Depthwise | Groups::DepthwiseRow | Groups::DepthwiseColumn => channels,
        }
    }
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
    /// Convolution: uniform in +-sqrt(6 / (fan_in + fan_out)), bias 0 (Glorot and Bengio, 2010).
    Xavier,
    /// Convolution: normal, bias 0.
    Normal {
        /// Standard deviation in thousandths.
        std_e3: u32,
    },
}

/// The tensor of a channel scale in checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScaleName {
    /// `gamma` of a module, with one axis.
    Gamma,
    /// `gamma` of a module, held as a map of one pixel.
    Pixel,
    /// `scale` of a module, with one axis.
    Scale,
    /// An attribute of the module around it, with one axis: the path is its whole name.
    Attribute,
}

/// The initialisation of a learnt tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LearntInit {
    /// Truncated normal, 0.02.
    Truncated,
    /// Normal, 1.
    Normal,
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
}

/// A primitive operation. Shapes are for one image: the batch axis is not part of the graph.
#[allow(missing_docs)] // each operation's line names its fields
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// The image.
    Input,
    /// 2-D convolution over a map; padding `pad` on all sides, `dilation` from one tap of the kernel to the next.
    Conv { out: Sections, kernel: u32, stride: u32, pad: u32, dilation: u32, groups: Groups, bias: bool },
    /// Batch normalisation over the channels of a map or of a vector.
    BatchNorm,
    /// Layer normalisation over the channels of rows, with a scale for each channel and, if `bias`, a shift; `eps` in units of
    /// 1e-7.
    LayerNorm { eps_e7: u32, bias: bool },
    /// Group normalisation with one group, over the whole map, with a scale for each channel and, if `bias`, a shift; `eps` in
    /// units of 1e-7.
    GroupNorm { eps_e7: u32, bias: bool },
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
    /// Rows `start .. start + len`.
    Rows { start: u32, len: u32 },
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
    /// `[heads, N, d]`, or `[heads, d, N]` when transposed, to `[heads * d, h, w]`.
    MergeHeads { h: u32, w: u32, transposed: bool },
    /// Linear attention of rows q, k and v, where q and k are not negative: `q (k' v) / (q (k' 1) + LINEAR_ATTENTION_EPS)`.
    LinearAttention { heads: u32, key_dim: u32 },
    /// Division by the Euclidean norm over the last axis.
    L2Norm,
    /// Matrix product over the last two axes.
    MatMul,
    /// A learnt scale for each channel (layer scale).
    ChannelScale { init_e7: u32, name: ScaleName },
    /// Learnt attention biases `[heads, queries, keys]`, by the distance of query and key on a grid of `h` x `w` keys, with
    /// queries on every `stride`-th row and column. `index` says whether checkpoints hold the table of indices.
    BiasTable { heads: u32, h: u32, w: u32, stride: u32, index: bool },
    /// A learnt tensor, the same for every image. Checkpoints hold its last `axes` axes, or one more in front.
    Learnt { value: Value, axes: u32, init: LearntInit },
    /// Sines and cosines of the positions of a map: a map of 64 channels, the same for every image.
    Fourier,
    /// For each query and each key on a grid of `h` x `w`, columns and rows from one to the other and the square of their
    /// distance: rows of 3 channels, the same for every image.
    Offsets { h: u32, w: u32 },
    /// What attention adds to its logits by the places of query and key, of queries that are a map: the products of the query
    /// with a learnt vector for the rows from it to the key, and with one for the columns. `[heads, queries, keys]`.
    RelativeLogits { heads: u32 },
    /// Dropout: in training, zeroes elements with probability `permille` / 1000.
    Dropout { permille: u32 },
    /// Stochastic depth: in training, drops the branch of an image with probability `permille` / 1000.
    DropPath { permille: u32 },
    /// The largest of a window, without the pixels that padding adds.
    MaxPool { kernel: u32, stride: u32, pad: u32 },
    /// Channels of `groups` equal parts in turn: the first of each part, the second of each, and so on.
    Shuffle { groups: u32 },
    /// Resize of a map to the nearest pixel.
    ResizeNearest { h: u32, w: u32 },
    /// Cubic resize of a map with a = -0.75, as PyTorch's without aligned corners.
    ResizeCubic { h: u32, w: u32 },
    /// A map cut into windows of `side` x `side` pixels, after zeros below and to the right. Each becomes an image of its own.
    Windows { side: u32 },
    /// The inverse of `Windows`, to a map of `h` x `w`.
    Unwindow { h: u32, w: u32 },
    /// Average pooling to a map of `h` x `w`: window `i` of `n` goes from `floor(i * size / n)` to `ceil((i + 1) * size / n)`.
    AdaptiveAvgPool { h: u32, w: u32 },
    /// Rows to a map, the inverse of `Flatten`: `[h * w, C]` to `[C, h, w]`.
    Unflatten { h: u32, w: u32 },
    /// Each row to `parts` rows of equal length: `[N, parts * c]` to `[N * parts, c]`.
    SplitRows { parts: u32 },
    /// A map to one vector: `[C, H, W]` to `[C * H * W]`.
    Vector,
    /// Transposed convolution whose stride is its kernel: each position becomes `kernel` x `kernel` of them.
    ConvTranspose { out: Sections, kernel: u32, bias: bool },
    /// The features of `count` regions of the image, `side` x `side` each, cut from the levels of a pyramid as RoIAlign does
    /// (He et al., 2017). Positions of the first level are `stride` pixels apart, those of each next one twice as far. Each
    /// region becomes an image of its own. Which regions is for a detector to say, between the outputs before them and
    /// those after.
    Regions { count: u32, side: u32, stride: u32 },
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
    /// [`Op::ConvTranspose`].
    ConvTranspose,
    /// [`Op::Linear`].
    Linear,
    /// [`Op::MatMul`].
    MatMul,
    /// [`Op::Attention`].
    Attention,
    /// [`Op::RelativeLogits`].
    RelativeLogits,
    /// [`Op::LinearAttention`].
    LinearAttention {
        /// Number of heads.
        heads: u32,
    },
}

impl Op {
    /// Group normalisation as PyTorch has it unless told otherwise.
    pub const GROUP_NORM: Op = Op::GroupNorm { eps_e7: 100, bias: true };

    /// Layer normalisation with a scale and a shift.
    pub const fn layer_norm(eps_e7: u32) -> Op {
        Op::LayerNorm { eps_e7, bias: true }
    }

    /// Learnt rows, as class tokens and position embeddings are.
    pub fn learnt_rows(rows: u32, channels: u32) -> Op {
        Op::Learnt { value: Value::rows(&[rows], Sections::plain(channels)), axes: 3, init: LearntInit::Truncated }
    }

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
                let name = match groups {
                    Groups::Dense => "conv",
                    Groups::Grouped(_) => "grouped_conv",
                    Groups::Depthwise | Groups::DepthwiseRow | Groups::DepthwiseColumn => "depthwise_conv",
                };
                (name, contraction(Contraction::Conv { kernel, groups }))
            }
            Op::Linear { .. } => ("linear", contraction(Contraction::Linear)),
            Op::MatMul => ("mat_mul", contraction(Contraction::MatMul)),
            Op::Attention { .. } => ("attention", contraction(Contraction::Attention)),
            Op::LinearAttention { heads, .. } => {
                ("linear_attention", contraction(Contraction::LinearAttention { heads }))
            }
            Op::RelativeLogits { .. } => ("relative_logits", contraction(Contraction::RelativeLogits)),
            Op::BatchNorm => ("batch_norm", Norm),
            Op::LayerNorm { .. } => ("layer_norm", Norm),
            Op::GroupNorm { .. } => ("group_norm", Norm),
            Op::L2Norm => ("l2_norm", Norm),
            Op::Softmax => ("softmax", Reduction),
            Op::SumWidth => ("sum_width", Reduction),
            Op::GlobalPool { .. } => ("global_pool", Reduction),
            Op::AvgPool { .. } => ("avg_pool", Pool),
            Op::MaxPool { .. } => ("max_pool", Pool),
            Op::AdaptiveAvgPool { .. } => ("adaptive_avg_pool", Pool),
            Op::Act(_) => ("act", Elementwise),
            Op::Add => ("add", Elementwise),
            Op::Sub => ("sub", Elementwise),
            Op::Mean => ("mean", Elementwise),
            Op::Mul => ("mul", Elementwise),
            Op::InvSqrt { .. } => ("inv_sqrt", Elementwise),
            Op::ChannelScale { .. } => ("channel_scale", Elementwise),
            Op::Resize { .. } => ("resize", Movement),
            Op::ResizeNearest { .. } => ("resize_nearest", Movement),
            Op::ResizeCubic { .. } => ("resize_cubic", Movement),
            Op::Shuffle { .. } => ("shuffle", Movement),
            Op::Unfold { .. } => ("unfold", Movement),
            Op::Fold { .. } => ("fold", Movement),
            Op::Flatten => ("flatten", Movement),
            Op::Unflatten { .. } => ("unflatten", Movement),
            Op::SplitRows { .. } => ("split_rows", Movement),
            Op::Vector => ("vector", Movement),
            Op::Regions { .. } => ("regions", Movement),
            Op::ConvTranspose { .. } => ("conv_transpose", contraction(Contraction::ConvTranspose)),
            Op::Slice { .. } => ("slice", Movement),
            Op::SliceHeads { .. } => ("slice_heads", Movement),
            Op::Concat => ("concat", Movement),
            Op::ConcatRows => ("concat_rows", Movement),
            Op::Row { .. } => ("row", Movement),
            Op::Rows { .. } => ("rows", Movement),
            Op::SplitHeads { .. } => ("split_heads", Movement),
            Op::MergeHeads { .. } => ("merge_heads", Movement),
            Op::BiasTable { .. } => ("bias_table", Parameter),
            Op::Windows { .. } => ("windows", Movement),
            Op::Unwindow { .. } => ("unwindow", Movement),
            Op::Learnt { .. } => ("learnt", Parameter),
            Op::Fourier => ("fourier", Parameter),
            Op::Offsets { .. } => ("offsets", Parameter),
            Op::Dropout { .. } => ("dropout", Dropout),
            Op::DropPath { .. } => ("drop_path", Dropout),
        }
    }
}
