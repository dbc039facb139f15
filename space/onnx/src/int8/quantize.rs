//! Quantization: scales, zero points, weights per channel.

/// The range of a value over many images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ValueRange {
    /// The lower end.
    pub low: f32,
    /// The upper end.
    pub high: f32,
}

/// A float is `scale * (q - zero_point)`, `q` from 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuantParams {
    /// The step between two integers.
    pub scale: f32,
    /// The integer that stands for 0.
    pub zero_point: u8,
}

impl ValueRange {
    /// Parameters that spread 8 bits over the range, stretched to hold 0, which one integer represents exactly. `None` if an
    /// end is not finite.
    pub fn quant_params(self) -> Option<QuantParams> {
        let (low, high) = (f64::from(self.low.min(0.0)), f64::from(self.high.max(0.0)));
        if !self.low.is_finite() || !self.high.is_finite() {
            return None;
        }
        let scale = ((high - low) / 255.0) as f32;
        if scale < f32::MIN_POSITIVE {
            // The value is always 0, so any scale will do.
            return Some(QuantParams { scale: 1.0, zero_point: 0 });
        }
        let zero = (-low / f64::from(scale)).round_ties_even().clamp(0.0, 255.0);
        Some(QuantParams { scale, zero_point: zero as u8 })
    }
}

impl QuantParams {
    /// The nearest integer of a float, clipped to 8 bits.
    pub fn quantize(self, value: f32) -> u8 {
        let steps = (f64::from(value) / f64::from(self.scale)).round_ties_even() + f64::from(self.zero_point);
        steps.clamp(0.0, 255.0) as u8
    }

    /// The float of an integer.
    pub fn dequantize(self, q: u8) -> f32 {
        self.scale * (f32::from(q) - f32::from(self.zero_point))
    }
}

/// The axis of the output channels in a layer's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// `[channels, ...]`
    First(usize),
    /// `[..., channels]`
    Last(usize),
}

impl Channels {
    fn count(self) -> usize {
        match self {
            Channels::First(n) | Channels::Last(n) => n,
        }
    }

    /// The channel of the `index`-th of `len` weights.
    fn of(self, index: usize, len: usize) -> usize {
        match self {
            Channels::First(n) => index / (len / n.max(1)).max(1),
            Channels::Last(n) => index % n.max(1),
        }
    }
}

/// A layer's quantized tensors. A weight is `scale * q`; a bias `x * scale * q`, where `x` is the scale of the layer's input, so
/// that a bias is added to sums of products without conversion.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedLayer {
    /// Weights, -127 to 127, in their order.
    pub weights: Vec<i8>,
    /// The scale of each output channel.
    pub scales: Vec<f32>,
    /// Biases, if there were any.
    pub bias: Option<Vec<i32>>,
}

/// The largest quantized bias: half of what 32 bits hold, which leaves the other half to the sum of products.
const LARGEST_BIAS: f64 = (1u32 << 30) as f64;

/// Quantizes a layer per output channel, with each channel's largest weight at 127. A channel whose weights are so small that
/// its bias would not fit 32 bits gets a larger scale. `None` if a value is not finite.
pub fn layer(weights: &[f32], bias: Option<&[f32]>, channels: Channels, x: f32) -> Option<QuantizedLayer> {
    if weights.iter().chain(bias.unwrap_or_default()).any(|v| !v.is_finite()) {
        return None;
    }
    let mut scales = vec![0f32; channels.count()];
    for (index, w) in weights.iter().enumerate() {
        let largest = &mut scales[channels.of(index, weights.len())];
        *largest = largest.max(w.abs());
    }
    for (channel, scale) in scales.iter_mut().enumerate() {
        let bias = bias.and_then(|b| b.get(channel)).map_or(0.0, |b| f64::from(b.abs()));
        let least = bias / (f64::from(x) * LARGEST_BIAS);
        let steps = (f64::from(*scale) / 127.0).max(least) as f32;
        *scale = if steps < f32::MIN_POSITIVE { 1.0 } else { steps };
    }
    let quantize = |(index, w): (usize, &f32)| {
        let scale = scales[channels.of(index, weights.len())];
        (f64::from(*w) / f64::from(scale)).round_ties_even().clamp(-127.0, 127.0) as i8
    };
    let weights = weights.iter().enumerate().map(quantize).collect();
    // In float32, as the runtime multiplies the scales.
    let quantize = |(b, scale): (&f32, &f32)| (f64::from(*b) / f64::from(x * scale)).round_ties_even() as i32;
    let bias = bias.map(|b| b.iter().zip(&scales).map(quantize).collect());
    Some(QuantizedLayer { weights, scales, bias })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn params(low: f32, high: f32) -> QuantParams {
        ValueRange { low, high }.quant_params().unwrap()
    }

    #[test]
    fn zero_is_exact_and_the_ends_are_the_ends() {
        assert_eq!(params(0.0, 6.0), QuantParams { scale: 6.0 / 255.0, zero_point: 0 });
        assert_eq!(params(-51.0, 204.0), QuantParams { scale: 1.0, zero_point: 51 });
        assert_eq!(params(-0.5, 254.5).zero_point, 0, "halves round to the even neighbour");
        assert_eq!(params(-1.5, 253.5).zero_point, 2);
        assert_eq!(params(-6.0, 0.0), QuantParams { scale: 6.0 / 255.0, zero_point: 255 });
        // A range that lies to one side of 0 is stretched to hold it.
        assert_eq!(params(2.0, 6.0), params(0.0, 6.0));
        assert_eq!(params(-6.0, -2.0), params(-6.0, 0.0));
        for (low, high) in [(-0.3, 2.7), (-5.0, 0.1), (0.0, 1e-3), (-1e4, 1e6)] {
            let a = params(low, high);
            assert_eq!(a.dequantize(a.zero_point), 0.0);
            assert_eq!(a.quantize(0.0), a.zero_point);
            for v in [low, high, 0.37 * high, 0.9 * low] {
                let off = (a.dequantize(a.quantize(v)) - v).abs();
                // Half a step, and half a step more at the ends, since the zero point is rounded.
                assert!(off <= 1.001 * a.scale, "{v} in {low}..{high}: off by {off}, a step is {}", a.scale);
            }
        }
    }

    #[test]
    fn values_beyond_the_range_are_clipped() {
        let a = params(-1.0, 3.0);
        assert_eq!([a.quantize(-9.0), a.quantize(9.0)], [0, 255]);
        assert_eq!(a.quantize(a.scale * 2.5), a.zero_point + 2, "halves round to the even neighbour");
        assert_eq!(a.quantize(a.scale * 3.5), a.zero_point + 4);
    }

    #[test]
    fn ranges_of_zero_and_ranges_that_are_not_finite() {
        assert_eq!(params(0.0, 0.0), QuantParams { scale: 1.0, zero_point: 0 });
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(ValueRange { low: bad, high: 1.0 }.quant_params(), None);
            assert_eq!(ValueRange { low: 0.0, high: bad }.quant_params(), None);
        }
    }

    #[test]
    fn every_channel_has_its_own_scale() {
        let rows = [1.0, -0.5, 0.25, 0.0, 100.0, -200.0];
        let first = layer(&rows, None, Channels::First(3), 0.1).unwrap();
        assert_eq!(first.scales, [1.0 / 127.0, 0.25 / 127.0, 200.0 / 127.0]);
        assert_eq!(first.weights, [127, -64, 127, 0, 64, -127], "63.5 rounds to the even neighbour");
        let columns = [1.0, 0.25, 100.0, -0.5, 0.0, -200.0];
        let last = layer(&columns, None, Channels::Last(3), 0.1).unwrap();
        assert_eq!(last.scales, first.scales);
        assert_eq!(last.weights, [127, 127, 64, -64, 0, -127]);
        assert_eq!(last.bias, None);
    }

    #[test]
    fn biases_have_the_scale_of_the_products() {
        let l = layer(&[0.5, 2.0], Some(&[0.3, -7.0]), Channels::First(2), 0.02).unwrap();
        let back = |c: usize| f64::from(l.bias.as_ref().unwrap()[c]) * f64::from(0.02f32 * l.scales[c]);
        assert!((back(0) - 0.3).abs() <= 0.5 * 0.02 * 0.5 / 127.0 + 1e-7, "{}", back(0));
        assert!((back(1) + 7.0).abs() <= 0.5 * 0.02 * 2.0 / 127.0 + 1e-6, "{}", back(1));
    }

    #[test]
    fn a_channel_of_zeros_keeps_its_bias() {
        let l = layer(&[0.0, 0.0, 1.0, 1.0], Some(&[0.7, 0.0]), Channels::First(2), 0.05).unwrap();
        assert_eq!(l.weights, [0, 0, 127, 127]);
        let bias = l.bias.unwrap();
        assert!((f64::from(bias[0]) * f64::from(0.05f32 * l.scales[0]) - 0.7).abs() < 1e-6);
        let nothing = layer(&[0.0; 4], Some(&[0.0; 2]), Channels::First(2), 0.05).unwrap();
        assert_eq!((nothing.scales, nothing.bias), (vec![1.0; 2], Some(vec![0; 2])));
    }

    #[test]
    fn a_bias_far_beyond_the_weights_fits_32_bits() {
        let l = layer(&[1e-12, 1.0], Some(&[5.0, 5.0]), Channels::First(2), 0.01).unwrap();
        let bias = l.bias.unwrap();
        assert!(bias[0].abs() <= 1 << 30 && bias[0] > 1 << 29, "{}", bias[0]);
        assert!((f64::from(bias[0]) * f64::from(0.01f32 * l.scales[0]) - 5.0).abs() < 1e-5);
        assert_eq!(l.weights, [0, 127], "weights vanish next to such a bias");
    }

    #[test]
    fn values_that_are_not_finite_are_refused() {
        assert_eq!(layer(&[f32::NAN], None, Channels::First(1), 1.0), None);
        assert_eq!(layer(&[1.0], Some(&[f32::INFINITY]), Channels::First(1), 1.0), None);
    }
}
