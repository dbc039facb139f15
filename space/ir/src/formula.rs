//! Weights and images by a formula from names alone: the same on every machine, without a download.

use crate::fnv::Fnv;

/// Noise in [-1, 1) for the elements of a tensor in row-major order: splitmix64 steps from the name's hash.
pub fn noise(name: &str, n: usize) -> impl Iterator<Item = f64> {
    let start = Fnv::hash(name.as_bytes());
    (1..=n as u64).map(move |i| {
        let mut z = start.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        2.0 * ((z >> 40) as f64 / (1u64 << 24) as f64) - 1.0
    })
}

/// The values of a tensor by its name and shape, in a range in which activations neither vanish nor explode.
pub fn values(name: &str, shape: &[i64]) -> Vec<f32> {
    let n: i64 = shape.iter().product();
    let fan_in: i64 = shape.iter().skip(1).product();
    let (scale, shift) = if name.ends_with("num_batches_tracked") {
        (0.0, 0.0)
    } else if name.ends_with("running_var") {
        (0.5, 1.0)
    } else if name.ends_with("attention_biases") {
        (0.2, 0.0)
    } else if name.ends_with("gamma") {
        (0.1, 0.5)
    } else if name.ends_with("weight") && shape.len() == 1 {
        (0.1, 1.0)
    } else if name.ends_with("weight") {
        ((6.0 / fan_in as f64).sqrt(), 0.0)
    } else {
        (0.1, 0.0)
    };
    noise(name, n.max(0) as usize).map(|v| (shift + scale * v) as f32).collect()
}
