//! The ways to run a linear layer over rows and what follows it.

use std::rc::Rc;

use mobilenas_native::Arg;
use tch::{TchError, Tensor};

use super::candidate::{
    CLAMPED_LINEAR, CLAMPED_LINEAR_PACK, Candidate, Fused, LINEAR, LINEAR_PACK, Out, Run, bounds, finish, native,
};
use super::conv::over_positions;
use super::plan::Post;

/// A linear layer with its weights, for so many rows.
pub(crate) struct Linear {
    pub weight: Tensor,
    pub bias: Option<Tensor>,
    pub post: Vec<Post>,
    /// Rows of the input, those of all images together.
    pub rows: i64,
}

type Rows = Box<dyn Fn(&Tensor) -> Out>;

/// How rows are computed, and what is left to do after it.
type Way = (Rows, Vec<Post>);

/// The ways for rows, or for a map whose channels lie together in memory.
pub(crate) fn candidates(l: &Rc<Linear>, map: bool) -> Vec<Candidate<'static>> {
    let way = |name, make: fn(&Rc<Linear>) -> Result<Way, TchError>| {
        let l = l.clone();
        Candidate::new(name, move || {
            let (rows, rest) = make(&l)?;
            Ok(match map {
                true => Box::new(move |ins: &[&Tensor]| finish(over_positions(&rows, ins[0])?, &rest, ins)) as Run,
                false => Box::new(move |ins: &[&Tensor]| finish(rows(ins[0])?, &rest, ins)),
            })
        })
    };
    let mut all =
        vec![way("rows", plain), way("rows_transposed", transposed), way("rows_packed", |l| packed(l, false))];
    if matches!(l.post.first(), Some(Post::Act(_))) {
        all.push(way("rows_packed_act", |l| packed(l, true)));
    }
    all.push(way("rows_xnnpack", clamped));
    all
}

fn plain(l: &Rc<Linear>) -> Result<Way, TchError> {
    let k = l.clone();
    Ok((Box::new(move |x| x.f_linear(&k.weight, k.bias.as_ref())), l.post.clone()))
}

/// The weights turned beforehand.
fn transposed(l: &Rc<Linear>) -> Result<Way, TchError> {
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
        y.f_view(size.as_slice())
    };
    Ok((Box::new(rows), l.post.clone()))
}

fn optional(t: Option<&Tensor>) -> Arg<'_> {
    t.map_or(Arg::None, Arg::Tensor)
}

fn packed(l: &Rc<Linear>, act: bool) -> Result<Way, TchError> {
    let (fused, rest) = match l.post.split_first() {
        Some((Post::Act(f), rest)) if act => (Fused::of(*f), rest.to_vec()),
        _ => (Fused::NONE, l.post.clone()),
    };
    let weight = l.weight.f_contiguous()?;
    let weight = LINEAR_PACK.get()?.call(&[Arg::Tensor(&weight), Arg::Int(l.rows)]).map_err(native)?;
    let (bias, op) = (l.bias.as_ref().map(Tensor::shallow_clone), LINEAR.get()?);
    let rows = move |x: &Tensor| {
        let [attr, scalars, algorithm] = fused.args();
        op.tensor(&[Arg::Tensor(x), Arg::Value(&weight), optional(bias.as_ref()), attr, scalars, algorithm])
            .map_err(native)
    };
    Ok((Box::new(rows), rest))
}

/// XNNPACK, with the bounds of the function that follows.
fn clamped(l: &Rc<Linear>) -> Result<Way, TchError> {
    let fused = match l.post.first() {
        Some(Post::Act(f)) => bounds(*f),
        _ => None,
    };
    let [low, high] = fused.unwrap_or([Arg::None, Arg::None]);
    let weight = l.weight.f_contiguous()?;
    let pack = CLAMPED_LINEAR_PACK.get()?.call(&[Arg::Tensor(&weight), optional(l.bias.as_ref()), low, high]);
    let (weight, op) = (pack.map_err(native)?, CLAMPED_LINEAR.get()?);
    let rows = move |x: &Tensor| op.tensor(&[Arg::Tensor(x), Arg::Value(&weight)]).map_err(native);
    Ok((Box::new(rows), l.post[usize::from(fused.is_some())..].to_vec()))
}
