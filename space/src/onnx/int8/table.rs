//! Which ONNX operators of an int8 file work on whole numbers: the one place that says so. It follows what the CPU provider of
//! ONNX Runtime has kernels for: `QLinearConv`, `QGemm`, `QLinearAdd`, `QLinearMul`, `QLinearSigmoid`, `QLinearConcat`,
//! `QLinearAveragePool`, `QLinearGlobalAveragePool`, and the moving operators on bytes.

/// What becomes of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A layer: its weights become int8, by output channel, and it reads whole numbers. `axis` is that of the output channels
    /// in its weights. What it gives are whole numbers too; if it `floats`, only where a reader wants them.
    Layer {
        /// Axis of the output channels.
        axis: usize,
        /// Whether it can give floats.
        floats: bool,
    },
    /// Works on whole numbers where all that it reads can be had as such and a reader wants its result as such.
    Whole,
    /// Moves numbers about and changes none: its result has the scale of what it reads.
    Moves,
    /// Cuts off low or high numbers. After a layer nothing is left of it: the range of the whole numbers cuts off as much.
    Clips,
    /// A function of each number, computed on floats. It stands between layers, so its result can be had as whole numbers.
    Pointwise,
    /// Works on floats: norms, softmax, and the products of attention, whose both sides change with the image.
    Floats,
}

/// The roles; what is not here works on floats.
const TABLE: &[(&str, Role)] = &[
    ("Conv", Role::Layer { axis: 0, floats: false }),
    ("Gemm", Role::Layer { axis: 1, floats: true }),
    ("Add", Role::Whole),
    ("Mul", Role::Whole),
    ("Sigmoid", Role::Whole),
    ("Concat", Role::Whole),
    ("AveragePool", Role::Whole),
    ("GlobalAveragePool", Role::Whole),
    ("Reshape", Role::Moves),
    ("Transpose", Role::Moves),
    ("Flatten", Role::Moves),
    ("Slice", Role::Moves),
    ("Gather", Role::Moves),
    ("Relu", Role::Clips),
    ("Clip", Role::Clips),
    ("HardSigmoid", Role::Pointwise),
    ("HardSwish", Role::Pointwise),
    ("Gelu", Role::Pointwise),
];

/// The role of an operator.
pub fn role(op: &str) -> Role {
    TABLE.iter().find(|(name, _)| *name == op).map_or(Role::Floats, |(_, role)| *role)
}
