//! The tensors of an operation: names, shapes, and how a smaller network's tensor is sliced from a larger one's.

use super::{FOURIER_CHANNELS, Sections};

/// How one axis of a tensor is sliced from that axis of a larger network's tensor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SliceRule {
    /// The leading part of each section, of the leading ones if there are fewer.
    Leading(Sections),
    /// The centre, as for kernels.
    Centre(u32),
    /// The same in every network.
    Whole(u32),
    /// A table over the distances on a grid of `h` x `w`, resized bilinearly to another grid.
    Table {
        /// Rows of the grid.
        h: u32,
        /// Columns of the grid.
        w: u32,
    },
}

impl SliceRule {
    /// Size of the axis.
    pub fn len(&self) -> u32 {
        match self {
            SliceRule::Leading(s) => s.total(),
            SliceRule::Centre(n) | SliceRule::Whole(n) => *n,
            SliceRule::Table { h, w } => h * w,
        }
    }

    /// Whether the axis has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How a tensor is initialised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// A constant.
    Const(f64),
    /// Normal, with the variance as a fraction.
    Normal {
        /// Numerator and denominator.
        variance: (u32, u32),
    },
    /// Normal, truncated at two standard deviations.
    TruncNormal {
        /// Standard deviation in thousandths.
        std_e3: u32,
    },
    /// Uniform in +-1 / sqrt(fan_in), PyTorch's default for convolutions.
    Uniform {
        /// Number of inputs of one output.
        fan_in: u32,
    },
    /// Uniform in +-sqrt(6 / fans).
    Xavier {
        /// Inputs of one output, and outputs of one input.
        fans: u32,
    },
    /// Not random: for each query and key on a grid, the index `|dy| * w + |dx|` into a table of distances.
    Distances {
        /// Rows of the grid of keys.
        h: u32,
        /// Columns of the grid of keys.
        w: u32,
        /// Queries are on every `stride`-th row and column.
        stride: u32,
    },
}

/// For each query (row) and key (column), the index `|dy| * w + |dx|` into a table of distances; row-major.
pub fn distances(h: u32, w: u32, stride: u32) -> Vec<i64> {
    let grid = |step: u32| {
        let rows = (0..h).step_by(step.max(1) as usize);
        rows.flat_map(move |y| (0..w).step_by(step.max(1) as usize).map(move |x| (i64::from(y), i64::from(x))))
    };
    let index = move |(qy, qx): (i64, i64), (ky, kx): (i64, i64)| (qy - ky).abs() * i64::from(w) + (qx - kx).abs();
    grid(stride).flat_map(|q| grid(1).map(move |k| index(q, k)).collect::<Vec<_>>()).collect()
}

/// Sines and cosines of the rows, then of the columns, of a grid of `h` x `w`: a map of [`FOURIER_CHANNELS`], row-major.
///
/// Positions count from 1 and go up to a full turn; each pair of channels has a wave as long as the last times a factor.
pub fn fourier(h: u32, w: u32) -> Vec<f32> {
    let half = FOURIER_CHANNELS / 2;
    let turns = |i: u32, of: u32| (i + 1) as f32 / (of as f32 + 1e-6) * std::f32::consts::TAU;
    let value = |c: u32, y: u32, x: u32| {
        let position = if c < half { turns(y, h) } else { turns(x, w) };
        let wave = 10000f32.powf(2.0 * (c % half / 2) as f32 / half as f32);
        if c.is_multiple_of(2) { (position / wave).sin() } else { (position / wave).cos() }
    };
    let places = move |c: u32| (0..h).flat_map(move |y| (0..w).map(move |x| value(c, y, x)));
    (0..FOURIER_CHANNELS).flat_map(places).collect()
}

/// For each query and each key on a grid of `h` x `w`: columns and rows from the query to the key, and the square of their
/// distance; row-major.
pub fn offsets(h: u32, w: u32) -> Vec<f32> {
    let places = || (0..h).flat_map(move |y| (0..w).map(move |x| (y as f32, x as f32)));
    let between = |(qy, qx): (f32, f32), (ky, kx): (f32, f32)| {
        let (dy, dx) = (ky - qy, kx - qx);
        [dx, dy, dx * dx + dy * dy]
    };
    places().flat_map(|q| places().flat_map(move |k| between(q, k))).collect()
}

/// What a tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Weight of a convolution or linear layer.
    Weight,
    /// Its bias.
    Bias,
    /// Scale or shift of a norm, or a layer scale.
    Norm,
    /// Attention biases, class tokens, position embeddings.
    Table,
    /// Running statistic of a batch norm: a buffer.
    Statistic,
    /// Number of batches that a batch norm has seen: an integer buffer.
    Counter,
    /// Table of indices: an integer buffer.
    Index,
}

impl Role {
    /// Whether it is a parameter, which gradients reach.
    pub fn trainable(self) -> bool {
        !matches!(self, Role::Statistic | Role::Counter | Role::Index)
    }
}

/// The specification of one tensor of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamSpec {
    /// Its name in the stand-alone network: timm's `state_dict` key.
    pub name: String,
    /// Its name in the supernet; the same unless the family gives another.
    pub shared: String,
    /// Its axes: their sizes, and how they are sliced from a larger network's.
    pub axes: Vec<SliceRule>,
    /// How it is initialised.
    pub init: Init,
    /// What it is for.
    pub role: Role,
}

impl ParamSpec {
    /// Sizes of its axes; empty for a scalar.
    pub fn shape(&self) -> Vec<i64> {
        self.axes.iter().map(|a| i64::from(a.len())).collect()
    }

    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.axes.iter().map(|a| u64::from(a.len())).product()
    }
}
