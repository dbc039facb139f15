//! Which ONNX operators of an int8 file work on integers: the one place that says so. It follows the kernels of ONNX Runtime's
//! CPU provider: `QLinearConv`, `QGemm`, `QLinearAdd`, `QLinearMul`, `QLinearSigmoid`, `QLinearConcat`,
//! `QLinearAveragePool`, `QLinearGlobalAveragePool`, and the operators that move bytes.

/// What quantization makes of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpRole {
    /// A layer: its weights become int8 with a scale for each output channel, and it reads quantized values.
    Layer {
        /// Axis of the output channels in its weights.
        axis: usize,
        /// Whether it can also give floats; then its result is quantized only where a reader wants that.
        floats: bool,
    },
    /// Computes on integers if all its inputs can be quantized and a reader wants its result quantized.
    Integer,
    /// Moves elements and changes none: its result has the scale of its input.
    Movement,
    /// Clips low or high values. After a layer it vanishes: the quantized range clips as much.
    Clip,
    /// An activation computed on floats. It stands between layers, so its result can be quantized.
    Activation,
    /// Computes on floats: norms, softmax, and the products of attention, where both factors depend on the image.
    Float,
}

/// The roles; an operator that is not listed computes on floats.
const ROLES: &[(&str, OpRole)] = &[
    ("Conv", OpRole::Layer { axis: 0, floats: false }),
    ("Gemm", OpRole::Layer { axis: 1, floats: true }),
    ("Add", OpRole::Integer),
    ("Mul", OpRole::Integer),
    ("Sigmoid", OpRole::Integer),
    ("Concat", OpRole::Integer),
    ("AveragePool", OpRole::Integer),
    ("GlobalAveragePool", OpRole::Integer),
    ("MaxPool", OpRole::Movement),
    ("Reshape", OpRole::Movement),
    ("Transpose", OpRole::Movement),
    ("Flatten", OpRole::Movement),
    ("Slice", OpRole::Movement),
    ("Gather", OpRole::Movement),
    ("Relu", OpRole::Clip),
    ("Clip", OpRole::Clip),
    ("HardSigmoid", OpRole::Activation),
    ("HardSwish", OpRole::Activation),
    ("Gelu", OpRole::Activation),
];

/// The role of an operator.
pub fn role(op: &str) -> OpRole {
    ROLES.iter().find(|(name, _)| *name == op).map_or(OpRole::Float, |(_, role)| *role)
}
