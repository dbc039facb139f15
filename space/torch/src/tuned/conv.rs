//! Kernels for a convolution and its post-ops.

use std::rc::Rc;

use mobilenas_native::{Arg, Value};
use mobilenas_space::ir::ActFn;
use tch::Tensor;

use super::fusion::PostOp;
use super::kernel::{
    CLAMPED_CONV, CLAMPED_CONV_PACK, CONV, CONV_ADD, CONV_PACK, Fused, Kernel, KernelFn, Out, clamp, finish, optional,
};
use super::linear::{self, Linear};
use crate::error::OpError;
use crate::layout::{channels_last, map_size};

/// A convolution with its weights, for an input of one size.
pub(crate) struct Conv {
    pub weight: Tensor,
    pub bias: Option<Tensor>,
    pub stride: [i64; 2],
    pub pad: [i64; 2],
    pub dilation: [i64; 2],
    pub groups: i64,
    pub post: Vec<PostOp>,
    /// Size of the input.
    pub size: Vec<i64>,
}

const ONE: [i64; 2] = [1, 1];

/// Whether a convolution is a matrix product over the positions.
fn pointwise(c: &Conv) -> bool {
    c.weight.size()[2..] == ONE && c.stride == ONE && c.pad == [0, 0] && c.groups == 1
}

/// The kernels for a channels-last input (`last`) or one in planes. The output has the layout of the input.
pub(crate) fn kernels(c: &Rc<Conv>, last: bool) -> Vec<Kernel> {
    let kernel = |name, prepare: fn(&Rc<Conv>) -> Result<KernelFn, OpError>| {
        let c = c.clone();
        Kernel::new(name, move || prepare(&c))
    };
    if !last {
        let mut all = vec![kernel("native_planes", |c| {
            let (run, c) = (in_planes(c)?, c.clone());
            Ok(Box::new(move |ins| finish(run(&ins[0].f_contiguous()?)?, &c.post, ins)))
        })];
        if pointwise(c) {
            all.push(kernel("planes_product", planes_product));
        }
        return all;
    }
    let mut all = vec![
        kernel("native", native),
        kernel("native_planes", |c| {
            let (run, c) = (in_planes(c)?, c.clone());
            Ok(Box::new(move |ins| finish(channels_last(&run(&ins[0].f_contiguous()?)?)?, &c.post, ins)))
        }),
        kernel("mkldnn", mkldnn),
        kernel("mkldnn_packed", |c| packed(c, (Fused::NONE, c.post.clone()))),
        kernel("xnnpack", clamped),
    ];
    match c.post.first() {
        Some(PostOp::Act(_)) => all.push(kernel("mkldnn_packed_act", |c| packed(c, Fused::first(&c.post)))),
        Some(PostOp::Add(_)) => all.push(kernel("mkldnn_packed_add", packed_add)),
        None => {}
    }
    if pointwise(c) {
        let size = c.weight.size();
        let rows = Rc::new(Linear {
            weight: c.weight.view([size[0], size[1]]),
            bias: c.bias.as_ref().map(Tensor::shallow_clone),
            post: c.post.clone(),
            rows: c.size[0] * c.size[2] * c.size[3],
        });
        all.extend(linear::kernels(&rows, true));
    }
    all
}

/// libtorch's own kernel on channels-last weights.
fn native(c: &Rc<Conv>) -> Result<KernelFn, OpError> {
    let (c, weight) = (c.clone(), channels_last(&c.weight)?);
    Ok(Box::new(move |ins| {
        let y = ins[0].f_conv2d(&weight, c.bias.as_ref(), c.stride, c.pad, c.dilation, c.groups)?;
        finish(y, &c.post, ins)
    }))
}

/// libtorch's own kernel in planes.
fn in_planes(c: &Rc<Conv>) -> Result<impl Fn(&Tensor) -> Out + 'static, OpError> {
    let (c, weight) = (c.clone(), c.weight.f_contiguous()?);
    Ok(move |x: &Tensor| Ok(x.f_conv2d(&weight, c.bias.as_ref(), c.stride, c.pad, c.dilation, c.groups)?))
}

/// A 1x1 convolution in planes as a batched matrix product.
fn planes_product(c: &Rc<Conv>) -> Result<KernelFn, OpError> {
    let (size, c) = (c.weight.size(), c.clone());
    let weight = c.weight.f_view([1, size[0], size[1]])?;
    let bias = c.bias.as_ref().map(|t| t.f_view([1, -1, 1])).transpose()?;
    Ok(Box::new(move |ins| {
        let [n, _, h, w] = map_size(ins[0])?;
        let x = ins[0].f_flatten(2, 3)?;
        let weight = weight.f_expand([n, -1, -1], false)?;
        let y = match &bias {
            Some(bias) => bias.f_baddbmm(&weight, &x, 1, 1)?,
            None => weight.f_bmm(&x)?,
        };
        finish(y.f_view([n, -1, h, w])?, &c.post, ins)
    }))
}

fn mkldnn(c: &Rc<Conv>) -> Result<KernelFn, OpError> {
    let (c, weight) = (c.clone(), channels_last(&c.weight)?);
    Ok(Box::new(move |ins| {
        let y = ins[0].f_mkldnn_convolution(&weight, c.bias.as_ref(), c.pad, c.stride, c.dilation, c.groups)?;
        finish(y, &c.post, ins)
    }))
}

/// Weights packed for oneDNN's kernel and this size of input.
fn pack(c: &Conv) -> Result<Value, OpError> {
    let weight = c.weight.f_contiguous()?;
    let sizes =
        [Arg::Ints(&c.pad), Arg::Ints(&c.stride), Arg::Ints(&c.dilation), Arg::Int(c.groups), Arg::Ints(&c.size)];
    let args: Vec<Arg> = std::iter::once(Arg::Tensor(&weight)).chain(sizes).collect();
    Ok(CONV_PACK.get()?.call(&args)?)
}

impl Conv {
    /// The arguments of oneDNN's operators after the weights.
    fn args(&self) -> [Arg<'_>; 5] {
        let [pad, stride, dilation] = [&self.pad, &self.stride, &self.dilation].map(|v| Arg::Ints(v));
        [optional(self.bias.as_ref()), pad, stride, dilation, Arg::Int(self.groups)]
    }
}

/// oneDNN on packed weights.
fn packed(c: &Rc<Conv>, (fused, rest): (Fused, Vec<PostOp>)) -> Result<KernelFn, OpError> {
    let (c, weight, op) = (c.clone(), pack(c)?, CONV.get()?);
    Ok(Box::new(move |ins| {
        let [bias, pad, stride, dilation, groups] = c.args();
        let [attr, scalars, algorithm] = fused.args();
        let (x, weight) = (Arg::Tensor(ins[0]), Arg::Value(&weight));
        let y = op.tensor(&[x, weight, bias, pad, stride, dilation, groups, attr, scalars, algorithm])?;
        finish(y, &rest, ins)
    }))
}

/// The same with the sum that follows fused, and a ReLU after it.
fn packed_add(c: &Rc<Conv>) -> Result<KernelFn, OpError> {
    let (other, unary, fused) = match c.post[..] {
        [PostOp::Add(other), PostOp::Act(ActFn::Relu), ..] => (other, Arg::Text("relu"), 2),
        [PostOp::Add(other), ..] => (other, Arg::None, 1),
        _ => return Err(OpError::Incomplete { op: "mkldnn_packed_add", missing: "sum" }),
    };
    let (c, weight, op) = (c.clone(), pack(c)?, CONV_ADD.get()?);
    Ok(Box::new(move |ins| {
        let [bias, pad, stride, dilation, groups] = c.args();
        let (x, other, weight) = (Arg::Tensor(ins[0]), Arg::Tensor(ins[other]), Arg::Value(&weight));
        let (add, alpha, scalars, algorithm) = (Arg::Text("add"), Arg::None, Arg::Scalars(&[]), Arg::None);
        #[rustfmt::skip]
        let args = [x, other, weight, bias, pad, stride, dilation, groups, add, alpha, unary, scalars, algorithm];
        let y = op.tensor(&args)?;
        finish(y, &c.post[fused..], ins)
    }))
}

/// XNNPACK, clamped by the activation that follows.
fn clamped(c: &Rc<Conv>) -> Result<KernelFn, OpError> {
    let ([low, high], rest) = clamp(&c.post);
    let weight = c.weight.f_contiguous()?;
    let [bias, pad, stride, dilation, groups] = c.args();
    let packed = [Arg::Tensor(&weight), bias, stride, pad, dilation, groups, low, high];
    let (packed, op) = (CLAMPED_CONV_PACK.get()?.call(&packed)?, CLAMPED_CONV.get()?);
    Ok(Box::new(move |ins| {
        let y = op.tensor(&[Arg::Tensor(ins[0]), Arg::Value(&packed)])?;
        finish(y, &rest, ins)
    }))
}
