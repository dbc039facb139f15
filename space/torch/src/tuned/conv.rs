//! The ways to run a convolution and what follows it.

use std::rc::Rc;

use mobilenas_native::{Arg, Value};
use tch::{TchError, Tensor};

use super::candidate::{
    CLAMPED_CONV, CLAMPED_CONV_PACK, CONV, CONV_ADD, CONV_PACK, Candidate, Fused, Out, Run, bounds, finish, native,
};
use super::linear::{self, Linear};
use super::plan::Post;
use crate::forms::{map_of, misfit, together};

/// A convolution with its weights, for an input of one size.
pub(crate) struct Conv {
    pub weight: Tensor,
    pub bias: Option<Tensor>,
    pub stride: [i64; 2],
    pub pad: [i64; 2],
    pub groups: i64,
    pub post: Vec<Post>,
    /// Size of the input.
    pub size: Vec<i64>,
}

const ONE: [i64; 2] = [1, 1];

/// Whether a convolution is a matrix product over the positions.
fn pointwise(c: &Conv) -> bool {
    c.weight.size()[2..] == ONE && c.stride == ONE && c.pad == [0, 0] && c.groups == 1
}

/// The ways for an input whose channels lie together in memory (`last`), or whose positions do. The output is laid out
/// as the input is.
pub(crate) fn candidates(c: &Rc<Conv>, last: bool) -> Vec<Candidate<'static>> {
    if !last {
        return planes(c);
    }
    let way = |name, make: fn(&Rc<Conv>) -> Result<Run, TchError>| {
        let c = c.clone();
        Candidate::new(name, move || make(&c))
    };
    let mut all = vec![
        way("native", channels_together),
        way("native_planes", |c| {
            let run = in_planes(c)?;
            let c = c.clone();
            Ok(Box::new(move |ins| finish(together(&run(&ins[0].f_contiguous()?)?)?, &c.post, ins)))
        }),
        way("mkldnn", mkldnn),
        way("mkldnn_packed", |c| packed(c, Fused::NONE, c.post.clone())),
        way("xnnpack", clamped),
    ];
    match c.post.first() {
        Some(Post::Act(_)) => all.push(way("mkldnn_packed_act", |c| match c.post.split_first() {
            Some((Post::Act(f), rest)) => packed(c, Fused::of(*f), rest.to_vec()),
            _ => packed(c, Fused::NONE, c.post.clone()),
        })),
        Some(Post::Add(_)) => all.push(way("mkldnn_packed_add", packed_add)),
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
        all.extend(linear::candidates(&rows, true));
    }
    all
}

/// Runs a linear layer's way over the positions of a map.
pub(crate) fn over_positions(run: impl Fn(&Tensor) -> Out, x: &Tensor) -> Out {
    let &[b, c, h, w] = &x.size()[..] else { return Err(misfit(x)) };
    let y = run(&x.f_permute([0, 2, 3, 1])?.f_reshape([b * h * w, c])?)?;
    map_of(&y.f_view([b, h, w, -1])?)
}

fn channels_together(c: &Rc<Conv>) -> Result<Run, TchError> {
    let (c, weight) = (c.clone(), together(&c.weight)?);
    Ok(Box::new(move |ins| {
        let y = ins[0].f_conv2d(&weight, c.bias.as_ref(), c.stride, c.pad, ONE, c.groups)?;
        finish(y, &c.post, ins)
    }))
}

fn in_planes(c: &Rc<Conv>) -> Result<impl Fn(&Tensor) -> Out + 'static, TchError> {
    let (c, weight) = (c.clone(), c.weight.f_contiguous()?);
    Ok(move |x: &Tensor| x.f_conv2d(&weight, c.bias.as_ref(), c.stride, c.pad, ONE, c.groups))
}

fn mkldnn(c: &Rc<Conv>) -> Result<Run, TchError> {
    let (c, weight) = (c.clone(), together(&c.weight)?);
    Ok(Box::new(move |ins| {
        let y = ins[0].f_mkldnn_convolution(&weight, c.bias.as_ref(), c.pad, c.stride, ONE, c.groups)?;
        finish(y, &c.post, ins)
    }))
}

fn optional(t: Option<&Tensor>) -> Arg<'_> {
    t.map_or(Arg::None, Arg::Tensor)
}

/// Weights in the order that oneDNN's kernel wants for this size.
fn pack(c: &Conv) -> Result<Value, TchError> {
    let weight = c.weight.f_contiguous()?;
    let args = [
        Arg::Tensor(&weight),
        Arg::Ints(&c.pad),
        Arg::Ints(&c.stride),
        Arg::Ints(&ONE),
        Arg::Int(c.groups),
        Arg::Ints(&c.size),
    ];
    CONV_PACK.get()?.call(&args).map_err(native)
}

fn packed(c: &Rc<Conv>, fused: Fused, rest: Vec<Post>) -> Result<Run, TchError> {
    let (c, weight, op) = (c.clone(), pack(c)?, CONV.get()?);
    Ok(Box::new(move |ins| {
        let [attr, scalars, algorithm] = fused.args();
        let y = op.tensor(&[
            Arg::Tensor(ins[0]),
            Arg::Value(&weight),
            optional(c.bias.as_ref()),
            Arg::Ints(&c.pad),
            Arg::Ints(&c.stride),
            Arg::Ints(&ONE),
            Arg::Int(c.groups),
            attr,
            scalars,
            algorithm,
        ]);
        finish(y.map_err(native)?, &rest, ins)
    }))
}

/// The sum that follows is fused, and a relu after it.
fn packed_add(c: &Rc<Conv>) -> Result<Run, TchError> {
    let (other, unary, taken) = match c.post[..] {
        [Post::Add(other), Post::Act(mobilenas_space::ir::ActFn::Relu), ..] => (other, Arg::Text("relu"), 2),
        [Post::Add(other), ..] => (other, Arg::None, 1),
        _ => return Err(TchError::Shape("no sum follows".into())),
    };
    let (c, weight, op) = (c.clone(), pack(c)?, CONV_ADD.get()?);
    Ok(Box::new(move |ins| {
        let y = op.tensor(&[
            Arg::Tensor(ins[0]),
            Arg::Tensor(ins[other]),
            Arg::Value(&weight),
            optional(c.bias.as_ref()),
            Arg::Ints(&c.pad),
            Arg::Ints(&c.stride),
            Arg::Ints(&ONE),
            Arg::Int(c.groups),
            Arg::Text("add"),
            Arg::None,
            unary,
            Arg::Scalars(&[]),
            Arg::None,
        ]);
        finish(y.map_err(native)?, &c.post[taken..], ins)
    }))
}

/// XNNPACK, with the bounds of the function that follows.
fn clamped(c: &Rc<Conv>) -> Result<Run, TchError> {
    let fused = match c.post.first() {
        Some(Post::Act(f)) => bounds(*f),
        _ => None,
    };
    let [low, high] = fused.unwrap_or([Arg::None, Arg::None]);
    let rest = c.post[usize::from(fused.is_some())..].to_vec();
    let weight = c.weight.f_contiguous()?;
    let args = [
        Arg::Tensor(&weight),
        optional(c.bias.as_ref()),
        Arg::Ints(&c.stride),
        Arg::Ints(&c.pad),
        Arg::Ints(&ONE),
        Arg::Int(c.groups),
        low,
        high,
    ];
    let (weight, op) = (CLAMPED_CONV_PACK.get()?.call(&args).map_err(native)?, CLAMPED_CONV.get()?);
    Ok(Box::new(move |ins| {
        let y = op.tensor(&[Arg::Tensor(ins[0]), Arg::Value(&weight)]).map_err(native)?;
        finish(y, &rest, ins)
    }))
}

/// The ways for a map whose positions lie together.
fn planes(c: &Rc<Conv>) -> Vec<Candidate<'static>> {
    let (a, b) = (c.clone(), c.clone());
    let mut all = vec![Candidate::new("native_planes", move || {
        let (run, c) = (in_planes(&a)?, a.clone());
        Ok(Box::new(move |ins: &[&Tensor]| finish(run(&ins[0].f_contiguous()?)?, &c.post, ins)) as Run)
    })];
    if pointwise(c) {
        all.push(Candidate::new("planes_product", move || {
            let (size, c) = (b.weight.size(), b.clone());
            let weight = b.weight.f_view([1, size[0], size[1]])?;
            let bias = b.bias.as_ref().map(|t| t.f_view([1, -1, 1])).transpose()?;
            Ok(Box::new(move |ins: &[&Tensor]| {
                let &[n, _, h, w] = &ins[0].size()[..] else { return Err(misfit(ins[0])) };
                let x = ins[0].f_flatten(2, 3)?;
                let weight = weight.f_expand([n, -1, -1], false)?;
                let y = match &bias {
                    Some(bias) => bias.f_baddbmm(&weight, &x, 1, 1)?,
                    None => weight.f_bmm(&x)?,
                };
                finish(y.f_view([n, -1, h, w])?, &c.post, ins)
            }) as Run)
        }));
    }
    all
}
