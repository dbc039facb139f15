//! Each primitive operation in libtorch: the one place that calls its kernels, by the functions that return errors.

use mobilenas_native::{
    MAX_KEYS, NormAct, NormTraining, ProcessGroup, batch_norm_act, batch_norm_silu, few_key_attention, sync_batch_norm,
};
use mobilenas_space::ir::{ActFn, Contraction, Groups, LINEAR_ATTENTION_EPS, Node, Op, OpKind};
use tch::{Device, Kind, TchError, Tensor};

use crate::error::OpError;
use crate::layout::{self, is_channels_last};
use crate::mode::Mode;
use crate::regions;
use crate::relative::relative_logits;

type Out = Result<Tensor, OpError>;

/// How a graph's operations run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub mode: Mode,
    /// Images in the batch.
    pub batch: i64,
    /// Epsilon of batch norms.
    pub bn_eps: f64,
}

/// Runs one operation under autocast: contractions but linear attention in `kind`, norms and reductions in float32, the
/// rest in the precision of its inputs.
pub(crate) fn node_autocast(kind: Kind, node: &Node, ins: &[&Tensor], own: &[Tensor], run: Run) -> Out {
    let kind = match node.op.kind() {
        // Its sums over all positions need float32, as in the reference.
        OpKind::Contraction(Contraction::LinearAttention { .. }) => Kind::Float,
        OpKind::Contraction(_) => kind,
        OpKind::Norm | OpKind::Reduction => Kind::Float,
        OpKind::Input | OpKind::Pool | OpKind::Elementwise | OpKind::Movement | OpKind::Parameter | OpKind::Dropout => {
            return self::node(node, ins, own, run);
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
    self::node(node, &inputs, &own, run)
}

/// Runs one operation on values with a leading batch axis. `own` are its tensors, in the order of `Graph::node_params`.
pub(crate) fn node(node: &Node, ins: &[&Tensor], own: &[Tensor], Run { mode, batch, bn_eps }: Run) -> Out {
    let value = &node.value;
    let missing = |missing| move || OpError::Incomplete { op: node.op.name(), missing };
    let at = |i: usize| ins.get(i).copied().ok_or_else(missing("inputs"));
    let own_at = |i: usize| own.get(i).ok_or_else(missing("tensors"));
    Ok(match node.op {
        Op::Input => return Err(missing("images")()),
        Op::Conv { kernel: 1, stride, groups: Groups::Dense, .. } if stride > 1 && mode.trains() => {
            strided_pointwise(at(0)?, own, i64::from(stride))?
        }
        Op::Conv { kernel: _, out: _, bias: _, stride, pad, dilation, groups } => {
            let x = at(0)?;
            let (stride, pad) = ([i64::from(stride); 2], groups.pair(pad, 0).map(i64::from));
            let groups = i64::from(groups.count(x.size()[1] as u32));
            x.f_conv2d(own_at(0)?, own.get(1), stride, pad, [i64::from(dilation); 2], groups)?
        }
        Op::BatchNorm => batch_norm(at(0)?, own, mode, bn_eps)?,
        Op::LayerNorm { eps_e7, bias: _ } => {
            let (channels, eps) = ([i64::from(value.channels())], f64::from(eps_e7) * 1e-7);
            at(0)?.f_layer_norm(channels, Some(own_at(0)?), own.get(1), eps, false)?
        }
        Op::GroupNorm { eps_e7, bias: _ } => {
            at(0)?.f_group_norm(1, Some(own_at(0)?), own.get(1), f64::from(eps_e7) * 1e-7, false)?
        }
        Op::Linear { .. } => at(0)?.f_linear(own_at(0)?, own.get(1))?,
        Op::Act(f) => act(f, at(0)?)?,
        Op::AvgPool { kernel, stride, pad } => {
            let [k, s, p] = [kernel, stride, pad].map(|v| [i64::from(v); 2]);
            at(0)?.f_avg_pool2d(k, s, p, false, false, None)?
        }
        Op::MaxPool { kernel, stride, pad } => {
            let [k, s, p] = [kernel, stride, pad].map(|v| [i64::from(v); 2]);
            at(0)?.f_max_pool2d(k, s, p, [1, 1], false)?
        }
        Op::GlobalPool { keep } => match at(0)? {
            map if map.dim() == 4 => map.f_mean_dim([2i64, 3].as_slice(), keep, None)?,
            rows => rows.f_mean_dim(1, false, None)?,
        },
        Op::Resize { h, w, align_corners } => {
            at(0)?.f_upsample_bilinear2d([i64::from(h), i64::from(w)], align_corners, None, None)?
        }
        Op::ResizeNearest { h, w } => at(0)?.f_upsample_nearest2d([i64::from(h), i64::from(w)], None, None)?,
        Op::ResizeCubic { h, w } => at(0)?.f_upsample_bicubic2d([i64::from(h), i64::from(w)], false, None, None)?,
        Op::AdaptiveAvgPool { h, w } => at(0)?.f_adaptive_avg_pool2d([i64::from(h), i64::from(w)])?,
        Op::Shuffle { groups } => layout::shuffle(at(0)?, groups)?,
        Op::Unfold { patch, layout } => layout::unfold(at(0)?, patch, layout)?,
        Op::Fold { patch, layout, h, w } => layout::fold(at(0)?, patch, layout, [value.channels(), h, w])?,
        Op::Flatten => at(0)?.f_flatten(2, 3)?.f_transpose(1, 2)?,
        Op::Unflatten { h, w } => layout::unflatten(at(0)?, h, w)?,
        Op::SplitRows { parts: _ } => at(0)?.f_reshape([batch, -1, i64::from(value.channels())])?,
        Op::SplitHeads { heads, transposed } => layout::split_heads(at(0)?, heads, transposed)?,
        Op::MergeHeads { h, w, transposed: false } => layout::merge_heads(at(0)?, [value.channels(), h, w])?,
        Op::MergeHeads { h, w, transposed: true } => {
            let x = at(0)?;
            x.f_reshape([x.size()[0], i64::from(value.channels()), i64::from(h), i64::from(w)])?
        }
        Op::SliceHeads { heads, start, len } => layout::slice_heads(at(0)?, heads, start, len)?,
        Op::Slice { start, len } => {
            // A table has no batch axis.
            let (x, batch) = (at(0)?, at(0)?.dim() - value.dims.len());
            x.f_narrow((batch + value.axis) as i64, i64::from(start), i64::from(len))?
        }
        Op::Concat => Tensor::f_cat(ins, 1 + value.axis as i64)?,
        Op::ConcatRows => Tensor::f_cat(ins, value.axis as i64)?,
        Op::Rows { start, len } => at(0)?.f_narrow(-2, i64::from(start), i64::from(len))?,
        Op::Row { index } => at(0)?.f_select(-2, i64::from(index))?.f_flatten(1, -1)?,
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
            if mode != Mode::Eval && ins.len() == 3 && fits_few_keys(k) {
                return few_keys(q, k, v, i64::from(heads));
            }
            // Without gradients to record, one fused computation is faster.
            let products = keys(k) <= FEW_KEYS && !matches!(mode, Mode::Calibrate(_));
            attention(q, k, v, at(3).ok(), i64::from(heads), i64::from(key_dim), products)?
        }
        Op::LinearAttention { heads, key_dim } => {
            linear_attention(at(0)?, at(1)?, at(2)?, i64::from(heads), i64::from(key_dim))?
        }
        Op::L2Norm => {
            let x = at(0)?;
            x.f_div(&x.f_norm_scalaropt_dim(2, [-1i64].as_slice(), true)?.f_clamp_min(1e-12)?)?
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
        Op::Learnt { .. } => {
            let dims: Vec<i64> = value.dims.iter().map(|d| i64::from(*d)).collect();
            own_at(0)?.f_reshape(dims.as_slice())?.f_expand([&[batch], &dims[..]].concat(), false)?
        }
        Op::Fourier => layout::fourier(at(0)?)?,
        Op::Offsets { h, w } => layout::offsets(at(0)?, h, w, batch)?,
        Op::RelativeLogits { heads } => relative_logits(at(0)?, [own_at(0)?, own_at(1)?], i64::from(heads))?,
        Op::Vector => at(0)?.f_flatten(1, 3)?,
        Op::ConvTranspose { kernel, .. } => {
            let (weight, sides) = (own_at(0)?, [i64::from(kernel); 2]);
            at(0)?.f_conv_transpose2d(weight, own.get(1), sides, [0, 0], [0, 0], 1, [1, 1])?
        }
        // Regions that a detector names are cut where it names them.
        Op::Regions { count, side, stride } => regions::unnamed(ins, count, (side, stride))?,
        Op::Windows { side } => layout::windows(at(0)?, i64::from(side))?,
        Op::Unwindow { h, w } => layout::unwindow(at(0)?, [h, w].map(i64::from))?,
        Op::Dropout { permille } => at(0)?.f_dropout(f64::from(permille) / 1000.0, mode.trains())?,
        Op::DropPath { permille } => drop_path(at(0)?, f64::from(permille) / 1000.0, mode)?,
    })
}

/// A 1x1 convolution of the places that its stride leaves. With the stride, oneDNN's gradient of the weights writes past the
/// end of its buffer where fewer than 16 channels come in (`jit_1x1`, torch 2.11.0, channels-last).
fn strided_pointwise(x: &Tensor, own: &[Tensor], stride: i64) -> Out {
    let weight = own.first().ok_or(OpError::Incomplete { op: "conv", missing: "tensors" })?;
    let places = x.f_slice(2, None::<i64>, None::<i64>, stride)?.f_slice(3, None::<i64>, None::<i64>, stride)?;
    Ok(places.f_conv2d(weight, own.get(1), [1, 1], [0, 0], [1, 1], 1)?)
}

fn batch_norm(x: &Tensor, own: &[Tensor], mode: Mode, eps: f64) -> Out {
    let [weight, bias, mean, var] = norm_tensors(own)?.map(Some);
    Ok(match mode {
        Mode::Train => x.f_batch_norm(weight, bias, None::<&Tensor>, None::<&Tensor>, true, 0.1, eps, true),
        Mode::TrainTracking => x.f_batch_norm(weight, bias, mean, var, true, 0.1, eps, true),
        Mode::Calibrate(n) => x.f_batch_norm(weight, bias, mean, var, true, 1.0 / f64::from(n.max(1)), eps, true),
        Mode::Eval => x.f_batch_norm(weight, bias, mean, var, false, 0.0, eps, true),
    }?)
}

/// Scale, shift, running mean and running variance of a batch norm.
fn norm_tensors(own: &[Tensor]) -> Result<[&Tensor; 4], OpError> {
    match own {
        [weight, bias, mean, var, ..] => Ok([weight, bias, mean, var]),
        _ => Err(OpError::Incomplete { op: "batch_norm", missing: "tensors" }),
    }
}

/// Whether a map suits the project's own batch norm, which is faster than libtorch's.
pub(crate) fn fits_batch_norm(x: &Tensor) -> bool {
    x.dim() == 4
        && x.kind() == Kind::Float
        && x.device() == Device::Cpu
        && x.size()[0] * x.size()[2] * x.size()[3] > 1
        && is_channels_last(x)
}

/// What a batch norm under training can apply with it.
pub(crate) fn norm_act(f: ActFn) -> Option<NormAct> {
    match f {
        ActFn::Relu => Some(NormAct::Relu),
        ActFn::Relu6 => Some(NormAct::Relu6),
        ActFn::Silu => Some(NormAct::Silu),
        ActFn::HardSwish => Some(NormAct::HardSwish),
        ActFn::Gelu | ActFn::Sigmoid | ActFn::HardSigmoid => None,
    }
}

/// How batch norms are trained; with a group, over the batches of all its ranks.
pub(crate) fn norm_training(track: bool, epsilon: f64, group: Option<&ProcessGroup>) -> NormTraining<'_> {
    NormTraining { track, momentum: 0.1, epsilon, group }
}

/// A training-mode batch norm with an activation, for gradients.
pub(crate) fn batch_norm_with_act(x: &Tensor, own: &[Tensor], how: NormTraining<'_>, act: NormAct) -> Out {
    Ok(batch_norm_act(x, norm_tensors(own)?, how, act)?)
}

/// A training-mode batch norm over the batches of all ranks, on a map that suits no faster one.
pub(crate) fn synchronized_batch_norm(x: &Tensor, own: &[Tensor], how: NormTraining<'_>, autocast: bool) -> Out {
    let x = if autocast { x.f_to_kind(Kind::Float)? } else { x.shallow_clone() };
    Ok(sync_batch_norm(&x, norm_tensors(own)?, how)?)
}

/// An in-place training-mode batch norm for the `n`-th batch of a calibration, with an optional SiLU.
pub(crate) fn batch_norm_in_place(x: &Tensor, own: &[Tensor], n: u32, silu: bool, eps: f64) -> Out {
    let mut y = x.shallow_clone();
    batch_norm_silu(&mut y, norm_tensors(own)?, 1.0 / f64::from(n.max(1)), eps, silu)?;
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

/// Linear attention over rows of queries and keys that are not negative. The divisor is the product with a column of ones.
fn linear_attention(q: &Tensor, k: &Tensor, v: &Tensor, heads: i64, key_dim: i64) -> Out {
    let size = v.size();
    let split = |t: &Tensor, d: i64| {
        let rows = t.size()[t.dim() - 2];
        t.f_reshape([-1, rows, heads, d])?.f_transpose(1, 2)
    };
    let value_dim = size[size.len() - 1] / heads.max(1);
    let (q, k, v) = (split(q, key_dim)?, split(k, key_dim)?, split(v, value_dim)?);
    let context = k.f_transpose(2, 3)?.f_matmul(&v.f_pad([0, 1], "constant", 1.0)?)?;
    let y = q.f_matmul(&context)?;
    let divisor = y.f_narrow(3, value_dim, 1)?.f_add_scalar(LINEAR_ATTENTION_EPS)?;
    let y = y.f_narrow(3, 0, value_dim)?.f_div(&divisor)?;
    let mut out = size;
    let last = out.len() - 2;
    out[last] = q.size()[2];
    Ok(y.f_transpose(1, 2)?.f_reshape(out.as_slice())?)
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

    #[test]
    fn a_strided_pointwise_convolution_is_one() {
        tch::manual_seed(2);
        for side in [6, 7] {
            let x = Tensor::randn([2, 5, side, side], (Kind::Double, Device::Cpu));
            let (w, b) = (
                Tensor::randn([4, 5, 1, 1], (Kind::Double, Device::Cpu)),
                Tensor::randn([4], (Kind::Double, Device::Cpu)),
            );
            let want = x.conv2d(&w, Some(&b), [2, 2], [0, 0], [1, 1], 1);
            let found = strided_pointwise(&x, &[w, b], 2).unwrap();
            assert_eq!(found.size(), want.size());
            assert!(found.allclose(&want, 1e-12, 1e-12, false));
        }
    }

    #[test]
    fn offsets_are_those_of_the_graph() {
        let like = Tensor::zeros([1], (Kind::Float, Device::Cpu));
        let found = layout::offsets(&like, 3, 5, 2).unwrap();
        let want = Tensor::from_slice(&mobilenas_space::ir::offsets(3, 5)).view([1, 225, 3]);
        assert_eq!(found.size(), [2, 225, 3]);
        assert!(found.equal(&want.expand([2, -1, 3], false)));
    }

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
