//! Sums and means with NumPy's order of additions, so that a mean is the same to the last bit.

/// Numbers that are added one after the other, eight sums at a time.
const BLOCK: usize = 128;

fn pairwise(values: &[f64]) -> f64 {
    match values.len() {
        0..8 => values.iter().fold(-0.0, |sum, v| sum + v),
        n if n <= BLOCK => {
            let (eights, rest) = values.as_chunks::<8>();
            let mut sums = [0.0; 8];
            for (k, eight) in eights.iter().enumerate() {
                for (sum, v) in sums.iter_mut().zip(eight) {
                    *sum = if k == 0 { *v } else { *sum + v };
                }
            }
            let [a, b, c, d, e, f, g, h] = sums;
            rest.iter().fold(((a + b) + (c + d)) + ((e + f) + (g + h)), |sum, v| sum + v)
        }
        n => {
            let half = n / 2 - n / 2 % 8;
            pairwise(&values[..half]) + pairwise(&values[half..])
        }
    }
}

/// The mean; none of nothing.
pub(crate) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| (0.0 + pairwise(values)) / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NumPy 2.4's `numpy.mean`; a plain sum differs in three of them.
    #[test]
    fn means_are_numpys() {
        let of = |n: u32| mean(&(0..n).map(|i| (f64::from(i % 97) * 0.1 + 0.3) / 7.0).collect::<Vec<_>>());
        let found: Vec<Option<u64>> = [0, 3, 8, 100, 128, 129, 1000, 10_100].map(|n| of(n).map(f64::to_bits)).to_vec();
        assert_eq!(found, NUMPY.map(|v: Option<f64>| v.map(f64::to_bits)));
    }

    const NUMPY: [Option<f64>; 8] = [
        None,
        Some(0.05714285714285714),
        Some(0.09285714285714286),
        Some(0.7084285714285714),
        Some(0.6143973214285714),
        Some(0.6133997785160576),
        Some(0.7142142857142858),
        Some(0.7278500707213579),
    ];
}
