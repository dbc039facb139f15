//! Operators element by element, those that keep their input's sizes, reductions, and products of matrices.

use super::known::{Known, Op, axis};

pub(super) fn infer(name: &str, op: &Op) -> Option<Vec<Known>> {
    match name {
        "Identity" | "Cast" | "CastLike" | "Floor" | "Ceil" | "Round" | "Sqrt" | "Neg" | "Abs" | "Not"
        | "Reciprocal" => unary(name, op),
        // Those with further outputs of the same sizes, such as the mask of a dropout.
        "Relu"
        | "LeakyRelu"
        | "Sigmoid"
        | "Tanh"
        | "Erf"
        | "Exp"
        | "Log"
        | "Sign"
        | "HardSigmoid"
        | "HardSwish"
        | "Elu"
        | "Selu"
        | "Celu"
        | "ThresholdedRelu"
        | "Softplus"
        | "Softsign"
        | "Gelu"
        | "Mish"
        | "Clip"
        | "Dropout"
        | "BatchNormalization"
        | "InstanceNormalization"
        | "LayerNormalization"
        | "GroupNormalization"
        | "LpNormalization"
        | "RMSNormalization"
        | "LRN"
        | "MeanVarianceNormalization"
        | "Softmax"
        | "LogSoftmax"
        | "Hardmax"
        | "IsNaN"
        | "IsInf"
        | "CumSum"
        | "QuantizeLinear"
        | "DequantizeLinear"
        | "Sin"
        | "Cos"
        | "Tan"
        | "Asin"
        | "Acos"
        | "Atan"
        | "Sinh"
        | "Cosh"
        | "Asinh"
        | "Acosh"
        | "Atanh"
        | "Trilu"
        | "ReverseSequence"
        | "EyeLike"
        | "BitwiseNot"
        | "Shrink"
        | "Swish"
        | "QuickGelu"
        | "FastGelu"
        | "BiasGelu"
        | "ScatterElements"
        | "ScatterND"
        | "Scatter"
        | "Bernoulli"
        | "RandomNormalLike"
        | "RandomUniformLike"
        | "QLinearSigmoid"
        | "QLinearLeakyRelu"
        | "QLinearSoftmax"
        | "SimplifiedLayerNormalization"
        | "SkipLayerNormalization"
        | "SkipSimplifiedLayerNormalization"
        | "RotaryEmbedding" => Some(vec![Known::sized(op.dims(0)?.to_vec())]),
        "DynamicQuantizeLinear" => {
            let scalar = Known::sized(Vec::new());
            Some(vec![Known::sized(op.dims(0)?.to_vec()), scalar.clone(), scalar])
        }
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Mod" | "And" | "Or" | "Xor" | "Equal" | "Greater" | "Less"
        | "GreaterOrEqual" | "LessOrEqual" | "Min" | "Max" | "Sum" | "Mean" | "PRelu" | "Where" | "BitShift"
        | "BitwiseAnd" | "BitwiseOr" | "BitwiseXor" => elementwise(name, op),
        // Each of the two is followed by its scale and its zero point.
        "QLinearAdd" | "QLinearMul" => Some(vec![Known::sized(broadcast(op.dims(0)?, op.dims(3)?)?)]),
        "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" | "ReduceProd" | "ReduceL1" | "ReduceL2"
        | "ReduceLogSum" | "ReduceLogSumExp" | "ReduceSumSquare" => reduce(name, op),
        "ArgMax" | "ArgMin" => {
            let dims = op.dims(0)?;
            let at = axis(op.int("axis", 0), dims.len())?;
            Some(vec![Known::sized(reduced(dims, &[at], op.int("keepdims", 1) == 1))])
        }
        "MatMul" | "MatMulInteger" | "DynamicQuantizeMatMul" | "MatMulIntegerToFloat" => matmul(op, 1),
        "FusedMatMul" if op.int("transA", 0) == 0 && op.int("transB", 0) == 0 => matmul(op, 1),
        "QLinearMatMul" => matmul(op, 3),
        "Gemm" | "FusedGemm" | "QGemm" => {
            let b = op.dims(if name == "QGemm" { 3 } else { 1 })?;
            let rows = *op.dims(0)?.get(usize::from(op.int("transA", 0) != 0))?;
            let columns = *b.get(usize::from(op.int("transB", 0) == 0))?;
            Some(vec![Known::sized(vec![rows, columns])])
        }
        "Einsum" => einsum(op),
        _ => None,
    }
}

fn unary(name: &str, op: &Op) -> Option<Vec<Known>> {
    let input = op.input(0)?;
    let to_whole = || match op.attribute("to").and_then(|a| a.i).and_then(|t| i32::try_from(t).ok()) {
        Some(to) => [2, 3, 4, 5, 6, 7, 9, 12, 13].contains(&to),
        None => input.whole,
    };
    let (whole, truth) = (if name == "Cast" { to_whole() } else { input.whole }, op.int("to", 0) == 9);
    let one = |v: f64| match name {
        "Cast" if truth => f64::from(u8::from(v != 0.0)),
        "Cast" if whole => v.trunc(),
        "Floor" => v.floor(),
        "Ceil" => v.ceil(),
        "Round" => v.round_ties_even(),
        "Sqrt" => v.sqrt(),
        "Neg" => -v,
        "Abs" => v.abs(),
        "Not" => f64::from(u8::from(v == 0.0)),
        "Reciprocal" => 1.0 / v,
        _ => v,
    };
    let numbers = input.numbers.as_ref().map(|n| n.iter().map(|v| one(*v)).collect());
    Some(vec![Known::computed(input.dims.clone(), numbers, whole)])
}

/// Sizes of two values element by element.
pub(super) fn broadcast(a: &[i64], b: &[i64]) -> Option<Vec<i64>> {
    let rank = a.len().max(b.len());
    let at = |dims: &[i64], i: usize| if i + dims.len() < rank { 1 } else { dims[i + dims.len() - rank] };
    let one = |i| match (at(a, i), at(b, i)) {
        (1, n) | (n, 1) => Some(n),
        (n, m) if n == m => Some(n),
        _ => None,
    };
    (0..rank).map(one).collect()
}

/// The numbers of a value as it is read in larger sizes.
pub(super) fn expanded(of: &Known, to: &[i64]) -> Option<Vec<f64>> {
    let numbers = of.numbers.as_ref()?;
    let total = to.iter().try_fold(1usize, |n, d| n.checked_mul(usize::try_from(*d).ok()?))?;
    if total > super::known::MOST || of.dims.len() > to.len() {
        return None;
    }
    let missing = to.len() - of.dims.len();
    let read = |flat: usize| {
        let (mut rest, mut at, mut step) = (flat, 0, 1);
        for i in (0..to.len()).rev() {
            let index = rest % to[i] as usize;
            rest /= to[i] as usize;
            if i >= missing && of.dims[i - missing] != 1 {
                at += index * step;
            }
            step *= if i >= missing { of.dims[i - missing] as usize } else { 1 };
        }
        numbers.get(at).copied()
    };
    (0..total).map(read).collect()
}

fn elementwise(name: &str, op: &Op) -> Option<Vec<Known>> {
    let all: Vec<&Known> = op.inputs.iter().copied().collect::<Option<_>>()?;
    let dims = all.iter().try_fold(Vec::new(), |dims: Vec<i64>, one| broadcast(&dims, &one.dims))?;
    let whole = all.last().is_some_and(|k| k.whole);
    let read: Option<Vec<Vec<f64>>> = all.iter().map(|one| expanded(one, &dims)).collect();
    let truth = |b: bool| f64::from(u8::from(b));
    let two = |a: f64, b: f64| {
        Some(match name {
            "Add" | "Sum" => a + b,
            "Sub" => a - b,
            "Mul" => a * b,
            "Div" if whole => (a / b).trunc(),
            "Div" => a / b,
            "Mod" => a - b * (a / b).floor(),
            "Pow" => a.powf(b),
            "Min" => a.min(b),
            "Max" => a.max(b),
            "Equal" => truth(a == b),
            "Greater" => truth(a > b),
            "Less" => truth(a < b),
            "GreaterOrEqual" => truth(a >= b),
            "LessOrEqual" => truth(a <= b),
            "And" => truth(a != 0.0 && b != 0.0),
            "Or" => truth(a != 0.0 || b != 0.0),
            _ => return None,
        })
    };
    let numbers = read.and_then(|read| match (name, read.as_slice()) {
        ("Where", [condition, a, b]) => {
            Some(condition.iter().zip(a.iter().zip(b)).map(|(c, (a, b))| if *c == 0.0 { *b } else { *a }).collect())
        }
        (_, [a, b]) => a.iter().zip(b).map(|(a, b)| two(*a, *b)).collect(),
        _ => None,
    });
    Some(vec![Known::computed(dims, numbers.filter(|n: &Vec<f64>| n.iter().all(|v| v.is_finite())), whole)])
}

fn reduced(dims: &[i64], axes: &[usize], keep: bool) -> Vec<i64> {
    let kept = dims.iter().enumerate().filter(|(i, _)| keep || !axes.contains(i));
    kept.map(|(i, d)| if axes.contains(&i) { 1 } else { *d }).collect()
}

fn reduce(name: &str, op: &Op) -> Option<Vec<Known>> {
    let input = op.input(0)?;
    let rank = input.dims.len();
    let axes = match op.list_or_input("axes", 1)? {
        Some(axes) if !axes.is_empty() => axes.iter().map(|a| axis(*a, rank)).collect::<Option<Vec<_>>>()?,
        _ if op.int("noop_with_empty_axes", 0) == 1 => return Some(vec![input.clone()]),
        _ => (0..rank).collect(),
    };
    let dims = reduced(&input.dims, &axes, op.int("keepdims", 1) == 1);
    // Sizes are multiplied or added up to one number.
    let numbers = input.numbers.as_ref().filter(|_| axes.len() == rank).and_then(|all| {
        let folded = match name {
            "ReduceProd" => all.iter().product(),
            "ReduceSum" => all.iter().sum(),
            "ReduceMax" => all.iter().copied().reduce(f64::max)?,
            "ReduceMin" => all.iter().copied().reduce(f64::min)?,
            _ => return None,
        };
        Some(vec![folded])
    });
    Some(vec![Known::computed(dims, numbers, input.whole)])
}

fn matmul(op: &Op, second: usize) -> Option<Vec<Known>> {
    let (a, b) = (op.dims(0)?, op.dims(second)?);
    let dims = match (a, b) {
        ([], _) | (_, []) => return None,
        ([_], [_]) => Vec::new(),
        ([_], [rest @ .., _, n]) => [rest, &[*n]].concat(),
        ([rest @ .., _], [_]) => rest.to_vec(),
        ([before @ .., m, _], [after @ .., _, n]) => [broadcast(before, after)?, vec![*m, *n]].concat(),
    };
    Some(vec![Known::sized(dims)])
}

/// The labels of an equation without an ellipsis: of each operand, and of the result.
pub(in crate::file) fn labels(equation: &str) -> Option<(Vec<Vec<char>>, Vec<char>)> {
    let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<Vec<char>>();
    if equation.contains("...") {
        return None;
    }
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left, Some(letters(right))),
        None => (equation, None),
    };
    let operands: Vec<Vec<char>> = left.split(',').map(letters).collect();
    let once = || {
        let mut all = operands.concat();
        all.sort_unstable();
        let single: Vec<char> = all.iter().copied().filter(|c| all.iter().filter(|d| *d == c).count() == 1).collect();
        single
    };
    let result = right.unwrap_or_else(once);
    Some((operands, result))
}

/// The size of each label of an equation.
pub(in crate::file) fn label_sizes(op: &Op, operands: &[Vec<char>]) -> Option<std::collections::BTreeMap<char, i64>> {
    let mut sizes = std::collections::BTreeMap::new();
    for (i, labels) in operands.iter().enumerate() {
        let dims = op.dims(i)?;
        if dims.len() != labels.len() {
            return None;
        }
        for (label, size) in labels.iter().zip(dims) {
            let known = sizes.entry(*label).or_insert(*size);
            *known = (*known).max(*size);
        }
    }
    Some(sizes)
}

fn einsum(op: &Op) -> Option<Vec<Known>> {
    let (operands, result) = labels(op.text("equation")?)?;
    let sizes = label_sizes(op, &operands)?;
    Some(vec![Known::sized(result.iter().map(|l| sizes.get(l).copied()).collect::<Option<_>>()?)])
}
