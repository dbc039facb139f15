//! Each primitive operation in libtorch. The one place that calls its numeric kernels, by the forms that return errors.

use mobilenas_native::{MOST_KEYS, few_keys, norm_of_batch};
use mobilenas_space::ir::{ActFn, Groups, Node, Op};
use tch::{Device, Kind, TchError, Tensor};

use crate::forms::{channels_last, moved};
use crate::net::{BN_EPS, Mode};

type Out = Result<Tensor, TchError>;

/// The image as the graph wants it: a single channel is repeated.
pub(crate) fn input(images: &Tensor, channels: u32) -> Out {
    let x = match images.size()[..] {
        [b, 1, h, w] if channels > 1 => images.f_expand([b, i64::from(channels), h, w], false)?,
        _ => images.shallow_clone(),
    };
    if x.dim() != 4 {
        // A block that stands alone may take rows, which have one order in memory.
        return Ok(x);
    }
    // Channels last in memory: convolutions on a processor are faster for it, and every map after this one keeps it.
    x.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}

/// Runs one operation with the heavy ones in another precision: what multiplies many numbers runs in `kind`, what sums
/// many of them or divides by such sums in single precision, and the rest in what it is given.
pub(crate) fn node_in(kind: Kind, node: &Node, ins: &[&Tensor], own: &[Tensor], mode: Mode, batch: i64) -> Out {
    let kind = match node.op {
        Op::Conv { .. } | Op::Linear { .. } | Op::MatMul | Op::Attention { .. } => kind,
        Op::BatchNorm | Op::LayerNorm { .. } | Op::GroupNorm | Op::Softmax | Op::SumWidth | Op::GlobalPool { .. } => {
            Kind::Float
        }
        _ => return self::node(node, ins, own, mode, batch),
    };
    let cast = |t: &Tensor| if t.is_floating_point() { t.f_to_kind(kind) } else { Ok(t.shallow_clone()) };
    let inputs = ins.iter().map(|t| cast(t)).collect::<Result<Vec<_>, _>>()?;
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    // Running statistics are changed in place and stay what they are.
    let own = match node.op {
        Op::BatchNorm => own.iter().map(Tensor::shallow_clone).collect(),
        _ => own.iter().map(cast).collect::<Result<Vec<_>, _>>()?,
    };
    self::node(node, &inputs, &own, mode, batch)
}

/// Runs one operation on values with a leading batch axis.
pub(crate) fn node(node: &Node, ins: &[&Tensor], own: &[Tensor], mode: Mode, batch: i64) -> Out {
    let value = &node.value;
    let misfit = || TchError::Shape(format!("{} with {} inputs", node.op.name(), ins.len()));
    let at = |i: usize| ins.get(i).copied().ok_or_else(misfit);
    match &node.op {
        Op::Input => Err(misfit()),
        Op::Conv { kernel: _, out: _, bias: _, stride, pad, groups } => {
            let x = at(0)?;
            let groups = if *groups == Groups::Depthwise { x.size()[1] } else { 1 };
            let (stride, pad) = (i64::from(*stride), i64::from(*pad));
            x.f_conv2d(&own[0], own.get(1), [stride, stride], [pad, pad], [1, 1], groups)
        }
        Op::BatchNorm => batch_norm(at(0)?, own, mode),
        Op::LayerNorm { eps_e7 } => {
            let eps = f64::from(*eps_e7) * 1e-7;
            at(0)?.f_layer_norm([i64::from(value.channels())], Some(&own[0]), Some(&own[1]), eps, false)
        }
        Op::GroupNorm => at(0)?.f_group_norm(1, Some(&own[0]), Some(&own[1]), 1e-5, false),
        Op::Linear { .. } => at(0)?.f_linear(&own[0], own.get(1)),
        Op::Act(f) => act(*f, at(0)?),
        Op::AvgPool { .. } | Op::GlobalPool { .. } | Op::Resize { .. } => resample(&node.op, at(0)?),
        Op::Unfold { .. }
        | Op::Fold { .. }
        | Op::Flatten
        | Op::SplitHeads { .. }
        | Op::SliceHeads { .. }
        | Op::MergeHeads { .. } => moved(&node.op, value, at(0)?),
        Op::Slice { start, len } => at(0)?.f_narrow(1 + value.axis as i64, i64::from(*start), i64::from(*len)),
        Op::Concat => Tensor::f_cat(ins, 1 + value.axis as i64),
        Op::ConcatRows => Tensor::f_cat(ins, value.axis as i64),
        Op::Row { index } => at(0)?.f_select(1, i64::from(*index)),
        Op::Add => at(0)?.f_add(at(1)?),
        Op::Sub => at(0)?.f_sub(at(1)?),
        Op::Mean => at(0)?.f_add(at(1)?)?.f_mul_scalar(0.5),
        Op::Mul => at(0)?.f_mul(at(1)?),
        Op::SumWidth => at(0)?.f_sum_dim_intlist([-1i64].as_slice(), true, None),
        Op::Softmax => at(0)?.f_softmax(-1, None),
        Op::InvSqrt { n } => at(0)?.f_mul_scalar(f64::from(*n).powf(-0.5)),
        Op::Attention { heads, key_dim } => {
            let (q, k, v) = (at(0)?, at(1)?, at(2)?);
            if k.size()[k.dim() - 2] == 1 && !mode.trains() {
                return one_key(q, v);
            }
            // What remembers nothing for gradients is faster as one.
            let alone = matches!(mode, Mode::Calibrate(_));
            if alone && ins.len() == 3 && fit_side_by_side(k) && tch::get_num_threads() == 1 {
                return side_by_side(q, k, v, i64::from(*heads));
            }
            let few = k.size()[k.dim() - 2] <= FEW_KEYS && !alone;
            attention(q, k, v, at(3).ok(), i64::from(*heads), i64::from(*key_dim), few)
        }
        Op::MatMul => at(0)?.f_matmul(at(1)?),
        Op::ChannelScale { .. } => {
            let x = at(0)?;
            let mut shape = vec![1; x.dim()];
            shape[1 + value.axis] = -1;
            x.f_mul(&own[0].f_view(shape.as_slice())?)
        }
        Op::BiasTable { heads, .. } => {
            let (queries, keys) = (i64::from(value.dims[1]), i64::from(value.dims[2]));
            let picked = own[0].f_index_select(1, &own[1].f_reshape([-1])?)?;
            picked.f_view([i64::from(*heads), queries, keys])
        }
        Op::Learnt { rows, channels } => own[0].f_expand([batch, i64::from(*rows), i64::from(*channels)], false),
        Op::Dropout { permille } => at(0)?.f_dropout(f64::from(*permille) / 1000.0, mode.trains()),
        Op::DropPath { permille } => drop_path(at(0)?, f64::from(*permille) / 1000.0, mode),
    }
}

/// Pooling and resizing.
fn resample(op: &Op, x: &Tensor) -> Out {
    match op {
        Op::AvgPool { kernel, stride, pad } => {
            let [k, s, p] = [kernel, stride, pad].map(|v| i64::from(*v));
            x.f_avg_pool2d([k, k], [s, s], [p, p], false, false, None)
        }
        Op::Resize { h, w, align_corners } => {
            x.f_upsample_bilinear2d([i64::from(*h), i64::from(*w)], *align_corners, None, None)
        }
        Op::GlobalPool { keep } if x.dim() == 4 => x.f_mean_dim([2i64, 3].as_slice(), *keep, None),
        _ => x.f_mean_dim(1, false, None),
    }
}

fn batch_norm(x: &Tensor, own: &[Tensor], mode: Mode) -> Out {
    let (weight, bias) = (Some(&own[0]), Some(&own[1]));
    let (mean, var) = (Some(&own[2]), Some(&own[3]));
    match mode {
        Mode::Train => x.f_batch_norm(weight, bias, None::<&Tensor>, None::<&Tensor>, true, 0.1, BN_EPS, true),
        Mode::TrainTracking => x.f_batch_norm(weight, bias, mean, var, true, 0.1, BN_EPS, true),
        Mode::Calibrate(n) => x.f_batch_norm(weight, bias, mean, var, true, 1.0 / f64::from(n.max(1)), BN_EPS, true),
        Mode::Eval => x.f_batch_norm(weight, bias, mean, var, false, 0.0, BN_EPS, true),
    }
}

/// Whether a map is one that the program's own norm takes: libtorch shares work out among threads, it does not.
pub(crate) fn fits_one_thread(x: &Tensor) -> bool {
    x.dim() == 4
        && x.kind() == Kind::Float
        && x.device() == Device::Cpu
        && x.size()[0] * x.size()[2] * x.size()[3] > 1
        && channels_last(x)
        && tch::get_num_threads() == 1
}

/// A batch norm that estimates its statistics, written over the map that it reads, with SiLU if that follows.
pub(crate) fn norm_in_place(x: &Tensor, own: &[Tensor], n: u32, silu: bool) -> Out {
    let mut y = x.shallow_clone();
    let [weight, bias, mean, variance, ..] = own else {
        return Err(TchError::Shape("a batch norm without its tensors".into()));
    };
    let norm = [weight, bias, mean, variance];
    let done = norm_of_batch(&mut y, norm, 1.0 / f64::from(n.max(1)), BN_EPS, silu);
    done.map(|()| y).map_err(|e| TchError::Torch(e.to_string()))
}

fn act(f: ActFn, x: &Tensor) -> Out {
    match f {
        ActFn::Relu => x.f_relu(),
        ActFn::Relu6 => x.f_clamp(0.0, 6.0),
        ActFn::Silu => x.f_silu(),
        ActFn::Gelu => x.f_gelu("none"),
        ActFn::Sigmoid => x.f_sigmoid(),
        ActFn::HardSigmoid => x.f_hardsigmoid(),
        ActFn::HardSwish => x.f_hardswish(),
    }
}

/// Up to so many keys, batched products are faster than the fused kernel, which multiplies matrix by matrix.
const FEW_KEYS: i64 = 32;

/// Whether attention to these keys can be computed for many images side by side.
pub(crate) fn fit_side_by_side(keys: &Tensor) -> bool {
    let few = keys.size()[keys.dim() - 2] <= MOST_KEYS as i64;
    few && keys.kind() == Kind::Float && keys.device() == Device::Cpu
}

/// Attention to few keys without a bias, for many images side by side.
pub(crate) fn side_by_side(q: &Tensor, k: &Tensor, v: &Tensor, heads: i64) -> Out {
    few_keys(q, k, v, heads).map_err(|e| TchError::Torch(e.to_string()))
}

/// Attention over rows: by batched products, or by libtorch's fused kernel.
pub(crate) fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    bias: Option<&Tensor>,
    heads: i64,
    key_dim: i64,
    products: bool,
) -> Out {
    let size = v.size();
    let channels = v.size()[v.dim() - 1];
    let split = |t: &Tensor, d: i64| {
        let rows = t.size()[t.dim() - 2];
        t.f_reshape([-1, rows, heads, d])?.f_transpose(1, 2)
    };
    let (q, k, v) = (split(q, key_dim)?, split(k, key_dim)?, split(v, channels / heads)?);
    let rows = q.size()[2];
    let bias = bias.map(|b| b.f_unsqueeze(0)).transpose()?;
    let out = if products {
        let logits = q.f_mul_scalar((key_dim as f64).powf(-0.5))?.f_matmul(&k.f_transpose(2, 3)?)?;
        let logits = bias.map_or(Ok(logits.shallow_clone()), |b| logits.f_add(&b))?;
        logits.f_softmax(-1, None)?.f_matmul(&v)?
    } else {
        Tensor::f_scaled_dot_product_attention(&q, &k, &v, bias, 0.0, false, None, false)?
    };
    let mut size = size;
    let n = size.len();
    size[n - 2] = rows;
    out.f_transpose(1, 2)?.f_reshape(size.as_slice())
}

/// Attention to a single key, as patches as large as their map leave: whatever the query, its share is 1, and each row is the
/// value. A tensor of its own, since the value may be read elsewhere too.
pub(crate) fn one_key(q: &Tensor, v: &Tensor) -> Out {
    let mut size = v.size();
    let n = size.len();
    size[n - 2] = q.size()[q.dim() - 2];
    v.f_expand(size.as_slice(), false)?.f_mul_scalar(1.0)
}

/// Drops the branch of whole images and scales the others, so that the mean stays.
fn drop_path(x: &Tensor, rate: f64, mode: Mode) -> Out {
    if !mode.trains() || rate <= 0.0 {
        return Ok(x.shallow_clone());
    }
    let mut shape = vec![1; x.dim()];
    shape[0] = x.size()[0];
    let keep = Tensor::f_rand(shape.as_slice(), (x.kind(), x.device()))?.f_ge(rate)?.f_to_kind(x.kind())?;
    x.f_mul(&keep.f_mul_scalar(1.0 / (1.0 - rate))?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// To the last bit what both ways of computing attention give.
    #[test]
    fn attention_to_one_key_is_its_value() {
        tch::manual_seed(1);
        let of = |rows: i64, channels| Tensor::randn([3, 2, rows, channels], (Kind::Float, Device::Cpu));
        for rows in [1, 5] {
            let (q, k, v) = (of(rows, 8), of(1, 8), of(1, 24));
            for products in [true, false] {
                let whole = attention(&q, &k, &v, None, 4, 2, products).unwrap();
                assert_eq!(whole, one_key(&q, &v).unwrap(), "{rows} rows, products {products}");
            }
        }
    }
}
