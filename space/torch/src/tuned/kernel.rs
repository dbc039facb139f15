//! A kernel for a step, and the operators of libtorch that tch lacks.

use std::sync::LazyLock;

use mobilenas_native::{Arg, NativeError, Operator};
use mobilenas_space::ir::ActFn;
use tch::{TchError, Tensor};

use super::fusion::PostOp;
use crate::error::OpError;

pub(crate) type Out = Result<Tensor, OpError>;

/// A prepared kernel: from the values that a step reads to its result.
pub(crate) type KernelFn = Box<dyn Fn(&[&Tensor]) -> Out>;

/// One way to compute a step. Preparing it packs weights, so only kernels that are tried or chosen are prepared.
pub(crate) struct Kernel {
    pub name: &'static str,
    pub prepare: Box<dyn Fn() -> Result<KernelFn, OpError>>,
}

impl Kernel {
    pub fn new(name: &'static str, prepare: impl Fn() -> Result<KernelFn, OpError> + 'static) -> Kernel {
        Kernel { name, prepare: Box::new(prepare) }
    }

    /// A kernel without preparation.
    pub fn ready(name: &'static str, run: impl Fn(&[&Tensor]) -> Out + Clone + 'static) -> Kernel {
        Kernel::new(name, move || Ok(Box::new(run.clone())))
    }

    /// Prepares the kernel and runs it once.
    pub fn try_on(&self, ins: &[&Tensor]) -> Result<(KernelFn, Tensor), OpError> {
        let run = (self.prepare)()?;
        let y = run(ins)?;
        Ok((run, y))
    }
}

/// An operator of libtorch, looked up once.
pub(crate) struct Lookup(LazyLock<Result<Operator, NativeError>>);

impl Lookup {
    pub fn get(&'static self) -> Result<&'static Operator, NativeError> {
        self.0.as_ref().map_err(Clone::clone)
    }
}

macro_rules! operators {
    ($($name:ident = $path:literal, $overload:literal;)*) => {
        $(pub(crate) static $name: Lookup = Lookup(LazyLock::new(|| Operator::find($path, $overload)));)*
    };
}

operators! {
    CONV = "mkldnn::_convolution_pointwise", "";
    CONV_ADD = "mkldnn::_convolution_pointwise", "binary";
    CONV_PACK = "mkldnn::_reorder_convolution_weight", "";
    LINEAR = "mkldnn::_linear_pointwise", "";
    LINEAR_PACK = "mkldnn::_reorder_linear_weight", "";
    CLAMPED_CONV = "prepacked::conv2d_clamp_run", "";
    CLAMPED_CONV_PACK = "prepacked::conv2d_clamp_prepack", "";
    CLAMPED_LINEAR = "prepacked::linear_clamp_run", "";
    CLAMPED_LINEAR_PACK = "prepacked::linear_clamp_prepack", "";
}

/// An activation as oneDNN's fused operators name it: name, scalars, algorithm.
#[derive(Clone, Copy)]
pub(crate) struct Fused(&'static str, &'static [f64], &'static str);

impl Fused {
    pub const NONE: Fused = Fused("none", &[], "");

    fn of(f: ActFn) -> Fused {
        match f {
            ActFn::Relu => Fused("relu", &[], ""),
            ActFn::Relu6 => Fused("hardtanh", &[0.0, 6.0], ""),
            ActFn::Silu => Fused("swish", &[], ""),
            ActFn::Gelu => Fused("gelu", &[], "none"),
            ActFn::Sigmoid => Fused("sigmoid", &[], ""),
            ActFn::HardSigmoid => Fused("hardsigmoid", &[], ""),
            ActFn::HardSwish => Fused("hardswish", &[], ""),
        }
    }

    /// The activation that comes first, fused, and the post-ops after it.
    pub fn first(post: &[PostOp]) -> (Fused, Vec<PostOp>) {
        match post.split_first() {
            Some((PostOp::Act(f), rest)) => (Fused::of(*f), rest.to_vec()),
            _ => (Fused::NONE, post.to_vec()),
        }
    }

    pub fn args(&self) -> [Arg<'_>; 3] {
        [Arg::Text(self.0), Arg::Scalars(self.1), Arg::Text(self.2)]
    }
}

/// Lower and upper clamp of XNNPACK's operators for the activation that comes first, and the post-ops that are left.
pub(crate) fn clamp(post: &[PostOp]) -> ([Arg<'static>; 2], Vec<PostOp>) {
    let (low, high) = (Arg::Double(0.0), Arg::Double(6.0));
    match post.split_first() {
        Some((PostOp::Act(ActFn::Relu), rest)) => ([low, Arg::None], rest.to_vec()),
        Some((PostOp::Act(ActFn::Relu6), rest)) => ([low, high], rest.to_vec()),
        _ => ([Arg::None, Arg::None], post.to_vec()),
    }
}

pub(crate) fn optional(t: Option<&Tensor>) -> Arg<'_> {
    t.map_or(Arg::None, Arg::Tensor)
}

/// Applies an activation in place.
pub(crate) fn act(f: ActFn, mut x: Tensor) -> Result<Tensor, TchError> {
    match f {
        ActFn::Relu => x.f_relu_(),
        ActFn::Relu6 => x.f_clamp_(0.0, 6.0),
        ActFn::Silu => x.f_silu_(),
        ActFn::Gelu => x.f_gelu_("none"),
        ActFn::Sigmoid => x.f_sigmoid_(),
        ActFn::HardSigmoid => x.f_hardsigmoid_(),
        ActFn::HardSwish => x.f_hardswish_(),
    }
}

/// Applies post-ops to a new result in place.
pub(crate) fn finish(mut y: Tensor, post: &[PostOp], ins: &[&Tensor]) -> Out {
    for p in post {
        y = match *p {
            PostOp::Act(f) => act(f, y)?,
            PostOp::Add(i) => y.f_add_(ins[i])?,
        };
    }
    Ok(y)
}
