//! Kernels for a linear layer over rows and its post-ops.

use std::rc::Rc;

use mobilenas_native::Arg;
use tch::Tensor;

use super::fusion::PostOp;
use super::kernel::{
    CLAMPED_LINEAR, CLAMPED_LINEAR_PACK, Fused, Kernel, KernelFn, LINEAR, LINEAR_PACK, Out, clamp, finish, optional,
};
use crate::error::OpError;
use crate::layout::{map_size, nhwc_to_map};

/// A linear layer with its weights, for a fixed number of rows.
pub(crate) struct Linear {
    pub weight: Tensor,
    pub bias: Option<Tensor>,
    pub post: Vec<PostOp>,
    /// Rows of the input, those of all images together.
    pub rows: i64,
}

/// A prepared kernel over rows, and the post-ops that it does not do itself.
type RowsKernel = (Box<dyn Fn(&Tensor) -> Out>, Vec<PostOp>);

/// The kernels for rows, or for a channels-last map as a matrix of its positions.
pub(crate) fn kernels(l: &Rc<Linear>, map: bool) -> Vec<Kernel> {
    let kernel = |name, prepare: fn(&Rc<Linear>) -> Result<RowsKernel, OpError>| {
        let l = l.clone();
        Kernel::new(name, move || {
            let (rows, rest) = prepare(&l)?;
            Ok(match map {
                true => Box::new(move |ins: &[&Tensor]| finish(over_positions(&rows, ins[0])?, &rest, ins)) as KernelFn,
                false => Box::new(move |ins: &[&Tensor]| finish(rows(ins[0])?, &rest, ins)),
            })
        })
    };
    let mut all = vec![
        kernel("rows", plain),
        kernel("rows_transposed", transposed),
        kernel("rows_packed", |l| packed(l, (Fused::NONE, l.post.clone()))),
    ];
    if matches!(l.post.first(), Some(PostOp::Act(_))) {
        all.push(kernel("rows_packed_act", |l| packed(l, Fused::first(&l.post))));
    }
    all.push(kernel("rows_xnnpack", clamped));
    all
}

/// Runs a kernel over the positions of a map.
fn over_positions(run: impl Fn(&Tensor) -> Out, x: &Tensor) -> Out {
    let [b, c, h, w] = map_size(x)?;
    let y = run(&x.f_permute([0, 2, 3, 1])?.f_reshape([b * h * w, c])?)?;
    Ok(nhwc_to_map(&y.f_view([b, h, w, -1])?)?)
}

fn plain(l: &Rc<Linear>) -> Result<RowsKernel, OpError> {
    let k = l.clone();
    Ok((Box::new(move |x| Ok(x.f_linear(&k.weight, k.bias.as_ref())?)), l.post.clone()))
}

/// The weights transposed beforehand.
fn transposed(l: &Rc<Linear>) -> Result<RowsKernel, OpError> {
    let (weight, out) = (l.weight.f_transpose(0, 1)?.f_contiguous()?, l.weight.size()[0]);
    let bias = l.bias.as_ref().map(Tensor::shallow_clone);
    let rows = move |x: &Tensor| {
        let mut size = x.size();
        let n = size.len();
        let flat = x.f_reshape([-1, size[n - 1]])?;
        let y = match &bias {
            Some(b) => b.f_addmm(&flat, &weight)?,
            None => flat.f_mm(&weight)?,
        };
        size[n - 1] = out;
        Ok(y.f_view(size.as_slice())?)
    };
    Ok((Box::new(rows), l.post.clone()))
}

/// oneDNN on packed weights.
fn packed(l: &Rc<Linear>, (fused, rest): (Fused, Vec<PostOp>)) -> Result<RowsKernel, OpError> {
    let weight = l.weight.f_contiguous()?;
    let weight = LINEAR_PACK.get()?.call(&[Arg::Tensor(&weight), Arg::Int(l.rows)])?;
    let (bias, op) = (l.bias.as_ref().map(Tensor::shallow_clone), LINEAR.get()?);
    let rows = move |x: &Tensor| {
        let [attr, scalars, algorithm] = fused.args();
        Ok(op.tensor(&[Arg::Tensor(x), Arg::Value(&weight), optional(bias.as_ref()), attr, scalars, algorithm])?)
    };
    Ok((Box::new(rows), rest))
}

/// XNNPACK, clamped by the activation that follows.
fn clamped(l: &Rc<Linear>) -> Result<RowsKernel, OpError> {
    let ([low, high], rest) = clamp(&l.post);
    let weight = l.weight.f_contiguous()?;
    let packed = CLAMPED_LINEAR_PACK.get()?.call(&[Arg::Tensor(&weight), optional(l.bias.as_ref()), low, high])?;
    let op = CLAMPED_LINEAR.get()?;
    Ok((Box::new(move |x: &Tensor| Ok(op.tensor(&[Arg::Tensor(x), Arg::Value(&packed)])?)), rest))
}
