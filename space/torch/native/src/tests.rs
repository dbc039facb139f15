use std::cell::Cell;

use tch::{Device, Kind, Tensor};

use super::{
    AllocationWatch, Arg, InferenceMode, MAX_KEYS, NormAct, NormTraining, Operator, ScriptModule, batch_norm_act,
    batch_norm_silu, few_key_attention,
};

const TRACKING: NormTraining = NormTraining { track: true, momentum: 0.1, epsilon: 1e-5, group: None };

/// Roughly normal numbers, the same in every run: libtorch's generator is shared with the tests that run in parallel.
struct Noise(Cell<u64>);

impl Noise {
    fn seeded(seed: u64) -> Noise {
        Noise(Cell::new(seed))
    }

    /// Between 0 and 1, by splitmix64.
    fn next(&self) -> f32 {
        self.0.set(self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        let z = self.0.get();
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 24) as f32
    }

    fn tensor(&self, size: &[i64]) -> Tensor {
        let values: Vec<f32> =
            (0..size.iter().product()).map(|_: i64| (0..12).map(|_| self.next()).sum::<f32>() - 6.0).collect();
        Tensor::from_slice(&values).reshape(size)
    }
}

#[test]
fn an_operator_outside_tch_is_called() {
    let noise = Noise::seeded(1);
    let (x, w) = (noise.tensor(&[2, 8, 6, 6]), noise.tensor(&[16, 8, 3, 3]));
    let conv = Operator::find("mkldnn::_convolution_pointwise", "").unwrap();
    let ones = [1i64, 1];
    let y = conv.tensor(&[
        Arg::Tensor(&x),
        Arg::Tensor(&w),
        Arg::None,
        Arg::Ints(&ones),
        Arg::Ints(&ones),
        Arg::Ints(&ones),
        Arg::Int(1),
        Arg::Text("hardtanh"),
        Arg::Scalars(&[0.0, 6.0]),
        Arg::Text(""),
    ]);
    let want = x.conv2d(&w, None::<&Tensor>, [1, 1], [1, 1], [1, 1], 1).clamp(0.0, 6.0);
    assert!(y.unwrap().allclose(&want, 1e-4, 1e-4, false));
}

#[test]
fn mistakes_come_back_as_messages() {
    let error = Operator::find("mkldnn::no_such", "").unwrap_err().to_string();
    assert!(error.contains("mkldnn::no_such"), "{error}");
    let relu = Operator::find("aten::relu", "").unwrap();
    assert!(relu.call(&[]).unwrap_err().to_string().contains("0 arguments"));
    let error = relu.call(&[Arg::Text("x")]).unwrap_err().to_string();
    assert!(error.contains("Tensor"), "{error}");
    assert!(ScriptModule::load(std::path::Path::new("/no/such/file.pt"), true).is_err());
}

#[test]
fn inference_ends_with_its_guard() {
    let x = Tensor::ones([2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    {
        let _guard = InferenceMode::begin();
        assert!(!(&x * 2.0).requires_grad());
    }
    assert!((&x * 2.0).requires_grad());
}

#[test]
fn the_watch_counts_what_is_held_at_once() {
    let megabyte = || Tensor::zeros([1 << 18], (Kind::Float, Device::Cpu));
    let before = megabyte();
    let watch = AllocationWatch::begin();
    assert_eq!(watch.peak(), 0);
    drop(megabyte());
    drop(megabyte());
    assert_eq!(watch.peak(), 1 << 20, "one after the other");
    drop(before);
    let two = [megabyte(), megabyte()];
    assert_eq!(watch.peak(), 2 << 20, "at once");
    drop(two);
    drop(watch);
    let again = AllocationWatch::begin();
    assert_eq!(again.peak(), 0);
}

#[test]
fn attention_to_few_keys_is_attention() {
    let noise = Noise::seeded(1);
    let of = |size: &[i64]| noise.tensor(size);
    // Rows, keys, heads, channels of a head for keys and for values; pairs of image and head that do and do not fill the lanes.
    for (rows, keys, heads, key, value, images) in
        [(4, 4, 4, 6, 6, 5), (16, 16, 4, 8, 8, 3), (1, 2, 1, 3, 5, 7), (5, 7, 3, 10, 4, 1), (4, 1, 2, 16, 32, 8)]
    {
        let whole = of(&[images, 2, rows.max(keys), heads * (2 * key + value)]);
        // Slices, as one layer makes all three.
        let cut = |rows, from, len| whole.narrow(2, 0, rows).narrow(3, from, len);
        let (q, k) = (cut(rows, 0, heads * key), cut(keys, heads * key, heads * key));
        let v = cut(keys, 2 * heads * key, heads * value);
        let split =
            |t: &Tensor, rows: i64, d: i64| t.reshape([-1, rows, heads, d]).transpose(1, 2).to_kind(Kind::Double);
        let logits = split(&q, rows, key).matmul(&split(&k, keys, key).transpose(2, 3)) / (key as f64).sqrt();
        let want = logits.softmax(-1, Kind::Double).matmul(&split(&v, keys, value));
        let want = want.transpose(1, 2).reshape([images, 2, rows, heads * value]);
        let got = few_key_attention(&q, &k, &v, heads).unwrap();
        let off = f64::try_from((got.to_kind(Kind::Double) - &want).abs().max()).unwrap();
        assert!(off < 1e-6, "{rows} rows, {keys} keys: {off}");
    }
}

#[test]
fn softmax_of_distant_logits_stays_finite() {
    let q = Tensor::from_slice(&[300.0f32, 300.0]).view([1, 2, 1]);
    let k = Tensor::from_slice(&[300.0f32, -300.0, 299.9]).view([1, 3, 1]);
    let v = Tensor::from_slice(&[1.0f32, 2.0, 3.0]).view([1, 3, 1]);
    let got = Vec::<f32>::try_from(few_key_attention(&q, &k, &v, 1).unwrap().view([-1])).unwrap();
    assert!(got.iter().all(|y| (y - 1.0).abs() < 1e-5), "{got:?}");
}

#[test]
fn attention_that_does_not_fit_is_refused() {
    let of = |keys: i64, channels: i64| Tensor::zeros([2, keys, channels], (Kind::Float, Device::Cpu));
    let said = |q: &Tensor, k: &Tensor, v: &Tensor, heads| few_key_attention(q, k, v, heads).unwrap_err().to_string();
    let many = of(MAX_KEYS as i64 + 1, 8);
    assert!(said(&of(3, 8), &many, &many, 2).contains("expected at most 16"));
    assert!(said(&of(3, 8), &of(3, 8), &of(3, 8), 3).contains("do not divide"));
    assert!(said(&of(3, 8), &of(3, 8), &of(2, 8), 2).contains("do not fit"));
    assert!(said(&of(3, 8).to_kind(Kind::Double), &of(3, 8), &of(3, 8), 2).contains("expected floats"));
}

#[test]
fn the_batch_norm_agrees_with_libtorch() {
    let noise = Noise::seeded(2);
    let of = |size: &[i64]| noise.tensor(size);
    // Channels that do and do not fill a row; positions that do and do not fill rows.
    for (images, channels, side) in [(3, 8, 5), (2, 24, 7), (5, 100, 3), (2, 1, 2), (1, 7, 9), (64, 16, 16)] {
        let x = of(&[images, side, side, channels]) * 3.0 + of(&[channels]) * 10.0;
        let (weight, bias) = (of(&[channels]), of(&[channels]));
        let (rows, first) = (x.reshape([-1, channels]).to_kind(Kind::Double), x.get(0).get(0).get(0));
        let (mean, deviation) = (rows.mean_dim(0, false, Kind::Double), rows.std_dim(0, false, false));
        let far = f64::try_from(((first - mean) / deviation).abs().max()).unwrap();
        for (silu, momentum) in [(false, 1.0), (true, 0.25)] {
            let statistics = || [of(&[channels]), of(&[channels]).abs()];
            let (own, mut map) = (statistics(), x.copy().permute([0, 3, 1, 2]));
            let theirs = own.each_ref().map(Tensor::copy);
            // libtorch in float64.
            let d = |t: &Tensor| t.to_kind(Kind::Double);
            let wide = theirs.each_ref().map(d);
            let [mean, var] = [Some(&wide[0]), Some(&wide[1])];
            let (w, b) = (d(&weight), d(&bias));
            let mut want = d(&map).batch_norm(Some(&w), Some(&b), mean, var, true, momentum, 1e-5, false);
            if silu {
                want = want.silu();
            }
            batch_norm_silu(&mut map, [&weight, &bias, &own[0], &own[1]], momentum, 1e-5, silu).unwrap();
            let off = |a: &Tensor, b: &Tensor| {
                let scale = f64::try_from(b.abs().max()).unwrap().max(1.0);
                f64::try_from((d(a) - b).abs().max()).unwrap() / scale
            };
            let all = [off(&map, &want), off(&own[0], &wide[0]), off(&own[1], &wide[1])];
            // Squares are taken relative to the first position. Where that is k deviations from the mean they are 1 + k^2 times the
            // variance, and so are their rounding errors: about four of 6e-8 each, twice that is allowed.
            let (bound, flat) = (5e-7 * (1.0 + far * far), 1e-6);
            assert!(all.iter().all(|e| *e < bound + flat), "{images}x{channels}x{side}x{side}: {all:?}, far {far}");
        }
    }
}

#[test]
fn a_batch_norm_that_does_not_fit_is_refused() {
    let of = |size: &[i64]| Tensor::ones(size, (Kind::Float, Device::Cpu));
    let said = |mut x: Tensor, n: i64| {
        let own = of(&[n]);
        batch_norm_silu(&mut x, [&own, &own, &own, &own], 1.0, 1e-5, false).unwrap_err().to_string()
    };
    assert!(said(of(&[2, 3, 4, 5]), 3).contains("expected a channels-last map of floats"));
    assert!(said(of(&[2, 4, 5, 3]).permute([0, 3, 1, 2]), 4).contains("expected 3 floats"));
    assert!(said(of(&[1, 1, 1, 3]).permute([0, 3, 1, 2]), 3).contains("expected more"));
}

/// Gradients of a sum of `y` times fixed weights.
fn gradients(y: &Tensor, by: &Tensor, of: &[&Tensor]) -> Vec<Tensor> {
    Tensor::run_backward(&[(y * by).sum(Kind::Float)], of, false, false)
}

fn assert_close(found: &Tensor, want: &Tensor, at: &str) {
    let off = (found - want).abs().max().double_value(&[]) / want.abs().max().double_value(&[]).max(1e-3);
    assert!(off < 1e-5, "{at}: {off:e} off, relative to the largest");
}

#[test]
fn batch_norm_with_an_activation_has_the_gradients_of_both() {
    type Act = fn(&Tensor) -> Tensor;
    let acts: [(NormAct, Act); 5] = [
        (NormAct::None, Tensor::shallow_clone),
        (NormAct::Silu, Tensor::silu),
        (NormAct::Relu, Tensor::relu),
        (NormAct::Relu6, |x| x.clamp(0.0, 6.0)),
        (NormAct::HardSwish, Tensor::hardswish),
    ];
    let noise = Noise::seeded(5);
    // One channel, a last row of fewer positions, more channels than are summed at once, several blocks.
    for size in [[3, 1, 5, 5], [5, 24, 3, 3], [2, 70, 4, 3], [40, 8, 16, 16]] {
        for (act, reference) in acts {
            let learnt = |t: Tensor| t.set_requires_grad(true);
            let channels = size[1];
            let map = (noise.tensor(&size) * 2.0 + 1.5).permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
            let map = learnt(map);
            let (weight, bias) = (learnt(noise.tensor(&[channels]) + 1.0), learnt(noise.tensor(&[channels])));
            let by = noise.tensor(&size);
            let statistics = || {
                [
                    Tensor::zeros([channels], (Kind::Float, Device::Cpu)),
                    Tensor::ones([channels], (Kind::Float, Device::Cpu)),
                ]
            };
            let ([mean, var], [mean2, var2]) = (statistics(), statistics());
            let found = batch_norm_act(&map, [&weight, &bias, &mean, &var], TRACKING, act).unwrap();
            let normed = map.batch_norm(Some(&weight), Some(&bias), Some(&mean2), Some(&var2), true, 0.1, 1e-5, true);
            let want = reference(&normed);
            let at = format!("{size:?} {act:?}");
            assert_close(&found, &want, &at);
            assert_close(&mean, &mean2, &at);
            assert_close(&var, &var2, &at);
            let all = [&map, &weight, &bias];
            for (found, want) in gradients(&found, &by, &all).iter().zip(gradients(&want, &by, &all)) {
                assert_close(found, &want, &at);
            }
        }
    }
}

#[test]
fn a_batch_norm_that_does_not_track_leaves_its_statistics() {
    let noise = Noise::seeded(6);
    let map = noise.tensor(&[4, 3, 2, 2]);
    let ones = Tensor::ones([3], (Kind::Float, Device::Cpu));
    let (mean, var) = (ones.copy(), ones.copy());
    let norm = [&ones, &ones, &mean, &var];
    assert!(batch_norm_act(&map, norm, NormTraining { track: false, ..TRACKING }, NormAct::Relu).is_ok());
    assert_eq!((&mean, &var), (&ones, &ones));
    let error = batch_norm_act(&map.narrow(0, 0, 1).narrow(2, 0, 1).narrow(3, 0, 1), norm, TRACKING, NormAct::None);
    assert!(error.unwrap_err().to_string().contains("one value for each channel"));
}

#[test]
fn attention_to_few_keys_has_gradients() {
    let noise = Noise::seeded(7);
    // Fewer and more pairs of image and head than lanes; several axes before the rows; keys and values of other widths.
    for (before, rows, keys, heads, key, value) in
        [(vec![1], 5, 3, 2, 4, 6), (vec![7, 3], 1, 16, 4, 8, 8), (vec![3, 4], 16, 1, 3, 5, 2)]
    {
        let of =
            |rows: i64, channels: i64| noise.tensor(&[&before[..], &[rows, channels]].concat()).set_requires_grad(true);
        let (q, k, v) = (of(rows, heads * key), of(keys, heads * key), of(keys, heads * value));
        let by = noise.tensor(&[&before[..], &[rows, heads * value]].concat());
        let split = |t: &Tensor, rows: i64, d: i64| t.reshape([-1, rows, heads, d]).transpose(1, 2);
        let logits = (split(&q, rows, key) * (key as f64).powf(-0.5)).matmul(&split(&k, keys, key).transpose(2, 3));
        let want = logits.softmax(-1, None).matmul(&split(&v, keys, value)).transpose(1, 2).reshape(by.size());
        let found = few_key_attention(&q, &k, &v, heads).unwrap();
        assert_close(&found, &want, &format!("{keys} keys"));
        for (i, (found, want)) in
            gradients(&found, &by, &[&q, &k, &v]).iter().zip(gradients(&want, &by, &[&q, &k, &v])).enumerate()
        {
            assert_close(found, &want, &format!("{keys} keys, gradient {i}"));
        }
    }
}
