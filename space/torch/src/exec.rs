//! Each primitive operation in libtorch: the one place that calls its kernels, by the functions that return errors.

use mobilenas_native::{MAX_KEYS, batch_norm_silu, few_key_attention};
use mobilenas_space::ir::{ActFn, BN_EPS, GROUP_NORM_EPS, Groups, Node, Op, OpKind};
use tch::{Device, Kind, TchError, Tensor};

use crate::error::OpError;
use crate::layout::{self, is_channels_last};
use crate::mode::Mode;

type Out = Result<Tensor, OpError>;

/// The images as the graph reads them: channels-last, which convolutions on a CPU prefer and every later map keeps, with a
/// single channel repeated. A block that runs alone may take rows instead of images, and those stay as they are.
pub(crate) fn input(images: &Tensor, channels: u32) -> Result<Tensor, TchError> {
    let x = match images.size()[..] {
        [b, 1, h, w] if channels > 1 => images.f_expand([b, i64::from(channels), h, w], false)?,
        _ => images.shallow_clone(),
    };
    if x.dim() == 4 { layout::channels_last(&x) } else { Ok(x) }
}

/// Runs one operation under autocast: contractions in `kind`, norms and reductions in float32, the rest in the precision of
/// its inputs.
pub(crate) fn node_autocast(kind: Kind, node: &Node, ins: &[&Tensor], own: &[Tensor], mode: Mode, batch: i64) -> Out {
    let kind = match node.op.kind() {
        OpKind::Contraction(_) => kind,
        OpKind::Norm | OpKind::Reduction => Kind::Float,
        OpKind::Input | OpKind::Pool | OpKind::Elementwise | OpKind::Movement | OpKind::Parameter | OpKind::Dropout => {
            return self::node(node, ins, own, mode, batch);
        }
    };
    let cast = |t: &Tensor| if t.is_floating_point() { t.f_to_kind(kind) } else { Ok(t.shallow_clone()) };
    let inputs = ins.iter().map(|t| cast(t)).collect::<Result<Vec<_>, _>>()?;
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    // A batch norm updates its running statistics in place, so it must get the tensors themselves.
    let own = match node.op == Op::BatchNorm {
        true => own.iter().map(Tensor::shallow_clone).collect(),
        false => own.iter().map(cast).collect::<Result<Vec<_>, _>>()?,
    };
    self::node(node, &inputs, &own, mode, batch)
}

/// Runs one operation on values with a leading batch axis. `own` are its tensors, in the order of `Graph::node_params`.
pub(crate) fn node(node: &Node, ins: &[&Tensor], own: &[Tensor], mode: Mode, batch: i64) -> Out {
    let value = &node.value;
    let missing = |missing| move || OpError::Incomplete { op: node.op.name(), missing };
    let at = |i: usize| ins.get(i).copied().ok_or_else(missing("inputs"));
    let own_at = |i: usize| own.get(i).ok_or_else(missing("tensors"));
    Ok(match node.op {
        Op::Input => return Err(missing("images")()),
        Op::Conv { kernel: _, out: _, bias: _, stride, pad, groups } => {
            let x = at(0)?;
            let groups = if groups == Groups::Depthwise { x.size()[1] } else { 1 };
            let (stride, pad) = ([i64::from(stride); 2], [i64::from(pad); 2]);
            x.f_conv2d(own_at(0)?, own.get(1), stride, pad, [1, 1], groups)?
        }
        Op::BatchNorm => batch_norm(at(0)?, own, mode)?,
        Op::LayerNorm { eps_e7 } => {
            let (channels, eps) = ([i64::from(value.channels())], f64::from(eps_e7) * 1e-7);
            at(0)?.f_layer_norm(channels, Some(own_at(0)?), Some(own_at(1)?), eps, false)?
        }
        Op::GroupNorm => at(0)?.f_group_norm(1, Some(own_at(0)?), Some(own_at(1)?), GROUP_NORM_EPS, false)?,
        Op::Linear { .. } => at(0)?.f_linear(own_at(0)?, own.get(1))?,
        Op::Act(f) => act(f, at(0)?)?,
        Op::AvgPool { kernel, stride, pad } => {
            let [k, s, p] = [kernel, stride, pad].map(|v| [i64::from(v); 2]);
            at(0)?.f_avg_pool2d(k, s, p, false, false, None)?
        }
        Op::GlobalPool { keep } => match at(0)? {
            map if map.dim() == 4 => map.f_mean_dim([2i64, 3].as_slice(), keep, None)?,
            rows => rows.f_mean_dim(1, false, None)?,
        },
        Op::Resize { h, w, align_corners } => {
            at(0)?.f_upsample_bilinear2d([i64::from(h), i64::from(w)], align_corners, None, None)?
        }
        Op::Unfold { patch, layout } => layout::unfold(at(0)?, patch, layout)?,
        Op::Fold { patch, layout, h, w } => layout::fold(at(0)?, patch, layout, [value.channels(), h, w])?,
        Op::Flatten => at(0)?.f_flatten(2, 3)?.f_transpose(1, 2)?,
        Op::SplitHeads { heads, transposed } => layout::split_heads(at(0)?, heads, transposed)?,
        Op::MergeHeads { h, w } => layout::merge_heads(at(0)?, [value.channels(), h, w])?,
        Op::SliceHeads { heads, start, len } => layout::slice_heads(at(0)?, heads, start, len)?,
        Op::Slice { start, len } => at(0)?.f_narrow(1 + value.axis as i64, i64::from(start), i64::from(len))?,
        Op::Concat => Tensor::f_cat(ins, 1 + value.axis as i64)?,
        Op::ConcatRows => Tensor::f_cat(ins, value.axis as i64)?,
        Op::Row { index } => at(0)?.f_select(1, i64::from(index))?,
        Op::Add => at(0)?.f_add(at(1)?)?,
        Op::Sub => at(0)?.f_sub(at(1)?)?,
        Op::Mean => at(0)?.f_add(at(1)?)?.f_mul_scalar(0.5)?,
        Op::Mul => at(0)?.f_mul(at(1)?)?,
        Op::SumWidth => at(0)?.f_sum_dim_intlist([-1i64].as_slice(), true, None)?,
        Op::Softmax => at(0)?.f_softmax(-1, None)?,
        Op::InvSqrt { n } => at(0)?.f_mul_scalar(f64::from(n).powf(-0.5))?,
        Op::Attention { heads, key_dim } => {
            let (q, k, v) = (at(0)?, at(1)?, at(2)?);
            if keys(k) == 1 && !mode.trains() {
                return single_key(q, v);
            }
            // Without gradients to record, one fused computation is faster.
            let calibrates = matches!(mode, Mode::Calibrate(_));
            if calibrates && ins.len() == 3 && fits_few_keys(k) && tch::get_num_threads() == 1 {
                return few_keys(q, k, v, i64::from(heads));
            }
            let products = keys(k) <= FEW_KEYS && !calibrates;
            attention(q, k, v, at(3).ok(), i64::from(heads), i64::from(key_dim), products)?
        }
        Op::MatMul => at(0)?.f_matmul(at(1)?)?,
        Op::ChannelScale { .. } => {
            let x = at(0)?;
            let mut shape = vec![1; x.dim()];
            shape[1 + value.axis] = -1;
            x.f_mul(&own_at(0)?.f_view(shape.as_slice())?)?
        }
        Op::BiasTable { heads, .. } => {
            let (queries, keys) = (i64::from(value.dims[1]), i64::from(value.dims[2]));
            let gathered = own_at(0)?.f_index_select(1, &own_at(1)?.f_reshape([-1])?)?;
            gathered.f_view([i64::from(heads), queries, keys])?
        }
        Op::Learnt { rows, channels } => own_at(0)?.f_expand([batch, i64::from(rows), i64::from(channels)], false)?,
        Op::Dropout { permille } => at(0)?.f_dropout(f64::from(permille) / 1000.0, mode.trains())?,
        Op::DropPath { permille } => drop_path(at(0)?, f64::from(permille) / 1000.0, mode)?,
    })
}

fn batch_norm(x: &Tensor, own: &[Tensor], mode: Mode) -> Out {
    let [weight, bias, mean, var] = norm_tensors(own)?.map(Some);
    Ok(match mode {
        Mode::Train => x.f_batch_norm(weight, bias, None::<&Tensor>, None::<&Tensor>, true, 0.1, BN_EPS, true),
        Mode::TrainTracking => x.f_batch_norm(weight, bias, mean, var, true, 0.1, BN_EPS, true),
        Mode::Calibrate(n) => x.f_batch_norm(weight, bias, mean, var, true, 1.0 / f64::from(n.max(1)), BN_EPS, true),
        Mode::Eval => x.f_batch_norm(weight, bias, mean, var, false, 0.0, BN_EPS, true),
    }?)
}

/// Scale, shift, running mean and running variance of a batch norm.
fn norm_tensors(own: &[Tensor]) -> Result<[&Tensor; 4], OpError> {
    match own {
        [weight, bias, mean, var, ..] => Ok([weight, bias, mean, var]),
        _ => Err(OpError::Incomplete { op: "batch_norm", missing: "tensors" }),
    }
}

/// Whether a map suits the project's own batch norm, which is faster than libtorch's on one thread and runs on one only.
pub(crate) fn fits_one_thread(x: &Tensor) -> bool {
    x.dim() == 4
        && x.kind() == Kind::Float
        && x.device() == Device::Cpu
        && x.size()[0] * x.size()[2] * x.size()[3] > 1
        && is_channels_last(x)
        && tch::get_num_threads() == 1
}

/// An in-place training-mode batch norm for the `n`-th batch of a calibration, with an optional SiLU.
pub(crate) fn batch_norm_in_place(x: &Tensor, own: &[Tensor], n: u32, silu: bool) -> Out {
    let mut y = x.shallow_clone();
    batch_norm_silu(&mut y, norm_tensors(own)?, 1.0 / f64::from(n.max(1)), BN_EPS, silu)?;
    Ok(y)
}

fn act(f: ActFn, x: &Tensor) -> Result<Tensor, TchError> {
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

/// Up to so many keys, batched matrix products are faster than the fused kernel, which multiplies matrix by matrix.
const FEW_KEYS: i64 = 32;

fn keys(k: &Tensor) -> i64 {
    k.size()[k.dim() - 2]
}

/// Whether [`few_keys`] takes these keys.
pub(crate) fn fits_few_keys(k: &Tensor) -> bool {
    keys(k) <= MAX_KEYS as i64 && k.kind() == Kind::Float && k.device() == Device::Cpu
}

/// Attention to few keys without a bias, vectorised over images and heads.
pub(crate) fn few_keys(q: &Tensor, k: &Tensor, v: &Tensor, heads: i64) -> Out {
    Ok(few_key_attention(q, k, v, heads)?)
}

/// Attention over rows: by batched matrix products, or by libtorch's fused kernel.
pub(crate) fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    bias: Option<&Tensor>,
    heads: i64,
    key_dim: i64,
    products: bool,
) -> Out {
    let mut size = v.size();
    let n = size.len();
    let split = |t: &Tensor, d: i64| {
        let rows = t.size()[t.dim() - 2];
        t.f_reshape([-1, rows, heads, d])?.f_transpose(1, 2)
    };
    let (q, k, v) = (split(q, key_dim)?, split(k, key_dim)?, split(v, size[n - 1] / heads)?);
    let bias = bias.map(|b| b.f_unsqueeze(0)).transpose()?;
    let out = if products {
        let logits = q.f_mul_scalar((key_dim as f64).powf(-0.5))?.f_matmul(&k.f_transpose(2, 3)?)?;
        let logits = bias.map_or(Ok(logits.shallow_clone()), |b| logits.f_add(&b))?;
        logits.f_softmax(-1, None)?.f_matmul(&v)?
    } else {
        Tensor::f_scaled_dot_product_attention(&q, &k, &v, bias, 0.0, false, None, false)?
    };
    size[n - 2] = q.size()[2];
    Ok(out.f_transpose(1, 2)?.f_reshape(size.as_slice())?)
}

/// Attention to a single key, as when one patch covers the map: the softmax is 1 for every query, so each output row is the
/// value. A copy, since the value may be read elsewhere too.
pub(crate) fn single_key(q: &Tensor, v: &Tensor) -> Out {
    let mut size = v.size();
    let n = size.len();
    size[n - 2] = q.size()[q.dim() - 2];
    Ok(v.f_expand(size.as_slice(), false)?.f_mul_scalar(1.0)?)
}

/// Stochastic depth: drops the branch of whole images and scales the others, so that the mean stays.
fn drop_path(x: &Tensor, rate: f64, mode: Mode) -> Result<Tensor, TchError> {
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

    /// Bit for bit what both computations of attention give.
    #[test]
    fn attention_to_one_key_is_its_value() {
        tch::manual_seed(1);
        let of = |rows: i64, channels| Tensor::randn([3, 2, rows, channels], (Kind::Float, Device::Cpu));
        for rows in [1, 5] {
            let (q, k, v) = (of(rows, 8), of(1, 8), of(1, 24));
            for products in [true, false] {
                let whole = attention(&q, &k, &v, None, 4, 2, products).unwrap();
                assert_eq!(whole, single_key(&q, &v).unwrap(), "{rows} rows, products {products}");
            }
        }
    }
}
