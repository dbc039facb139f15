//! Values with error bars.

/// A value with an error bar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The value.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Mean and error bar of test top-1s, percent, one a training, over so many images.
pub fn of_trainings(tops: &[f64], images: usize) -> Option<Interval> {
    match tops {
        [] => None,
        [one] => Some(wilson(*one, images)),
        many => {
            let n = many.len() as f64;
            let mean = many.iter().sum::<f64>() / n;
            let deviation = (many.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
            Some(Interval { value: mean, low: mean - deviation, high: mean + deviation })
        }
    }
}

/// The 95 % Wilson score interval of a share in percent over `images`. Source: E. B. Wilson, 1927.
pub fn wilson(percent: f64, images: usize) -> Interval {
    if images == 0 {
        return Interval { value: percent, low: percent, high: percent };
    }
    let (z, n, p) = (1.959_963_984_540_054, images as f64, (percent / 100.0).clamp(0.0, 1.0));
    let centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    Interval { value: percent, low: 100.0 * (centre - half), high: 100.0 * (centre + half) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn wilson_by_hand() {
        // 8 of 10: 0.4902 to 0.9433, as in R's binom.confint(8, 10, methods = "wilson").
        let i = wilson(80.0, 10);
        assert!((i.low - 49.02).abs() < 0.01 && (i.high - 94.33).abs() < 0.01, "{i:?}");
        assert!(wilson(100.0, 500).high <= 100.0 + 1e-9 && wilson(0.0, 500).low.abs() < 1e-9);
        assert_eq!(wilson(50.0, 0).low, 50.0);
    }

    #[test]
    fn several_seeds_give_their_own_spread() {
        let i = of_trainings(&[80.0, 82.0], 100).unwrap();
        assert!((i.value - 81.0).abs() < 1e-12 && (i.high - i.low - 2.0 * 2.0f64.sqrt()).abs() < 1e-12);
        assert_eq!(of_trainings(&[], 100), None);
    }
}
