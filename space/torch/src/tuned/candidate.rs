//! One way to do a step, and the operations of libtorch that tch lacks.

use std::sync::LazyLock;

use mobilenas_native::{Arg, NativeError, Operation};
use mobilenas_space::ir::ActFn;
use tch::{TchError, Tensor};

use super::plan::Post;

pub(crate) type Out = Result<Tensor, TchError>;

/// A step ready to run on the values it reads.
pub(crate) type Run = Box<dyn Fn(&[&Tensor]) -> Out>;

/// One way to do a step. Making it packs weights, so only what is tried or chosen is made.
pub(crate) struct Candidate<'a> {
    pub name: &'static str,
    pub make: Box<dyn Fn() -> Result<Run, TchError> + 'a>,
}

impl<'a> Candidate<'a> {
    pub fn new(name: &'static str, make: impl Fn() -> Result<Run, TchError> + 'a) -> Candidate<'a> {
        Candidate { name, make: Box::new(make) }
    }

    /// A candidate that needs no preparation.
    pub fn ready(name: &'static str, run: impl Fn(&[&Tensor]) -> Out + Clone + 'static) -> Candidate<'a> {
        Candidate::new(name, move || Ok(Box::new(run.clone())))
    }
}

pub(crate) fn native(e: NativeError) -> TchError {
    TchError::Torch(e.to_string())
}

/// An operation that is looked up once.
pub(crate) struct Lookup(LazyLock<Result<Operation, String>>);

impl Lookup {
    pub fn get(&'static self) -> Result<&'static Operation, TchError> {
        self.0.as_ref().map_err(|e| TchError::Torch(e.clone()))
    }
}

macro_rules! operations {
    ($($name:ident = $path:literal, $overload:literal;)*) => {
        $(pub(crate) static $name: Lookup =
            Lookup(LazyLock::new(|| Operation::find($path, $overload).map_err(|e| e.to_string())));)*
    };
}

operations! {
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

/// A pointwise function as oneDNN's fused operations name it: name, numbers, algorithm.
#[derive(Clone, Copy)]
pub(crate) struct Fused(pub &'static str, pub &'static [f64], pub &'static str);

impl Fused {
    pub const NONE: Fused = Fused("none", &[], "");

    pub fn of(f: ActFn) -> Fused {
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

    pub fn args(&self) -> [Arg<'_>; 3] {
        [Arg::Text(self.0), Arg::Scalars(self.1), Arg::Text(self.2)]
    }
}

/// The bounds that a function sets, if that is all it does.
pub(crate) fn bounds(f: ActFn) -> Option<[Arg<'static>; 2]> {
    match f {
        ActFn::Relu => Some([Arg::Double(0.0), Arg::None]),
        ActFn::Relu6 => Some([Arg::Double(0.0), Arg::Double(6.0)]),
        _ => None,
    }
}

/// Applies a function in place.
pub(crate) fn act(f: ActFn, mut x: Tensor) -> Out {
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

/// Does in place what follows a fresh result.
pub(crate) fn finish(mut y: Tensor, post: &[Post], ins: &[&Tensor]) -> Out {
    for p in post {
        y = match *p {
            Post::Act(f) => act(f, y)?,
            Post::Add(i) => y.f_add_(ins[i])?,
        };
    }
    Ok(y)
}
