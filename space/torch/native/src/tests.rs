use std::cell::Cell;

use tch::{Device, Kind, Tensor};

use super::{
    AllocationWatch, Arg, InferenceMode, MAX_KEYS, Operator, ScriptModule, batch_norm_silu, few_key_attention,
};

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
