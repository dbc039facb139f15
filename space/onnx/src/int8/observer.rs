//! Observes a value over calibration images, and gives its range.

use super::ValueRange;

/// How a range follows from observed values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CalibrationMethod {
    /// From the smallest to the largest value.
    #[default]
    MinMax,
    /// The middle 99.99 % of the values: rare large values are clipped, so that the others have a smaller scale.
    Percentile,
}

/// The share of values that [`CalibrationMethod::Percentile`] clips at each end.
const CUT: f64 = 0.000_05;

/// Bins on each side of 0.
const HALF: usize = 2048;

/// Minimum, maximum and histogram of the values observed so far. The bins double in width as values grow.
#[derive(Clone, Debug)]
pub struct Observer {
    method: CalibrationMethod,
    low: f32,
    high: f32,
    finite: bool,
    /// Width of a bin; 0 as long as all values are 0.
    width: f64,
    bins: Vec<u64>,
}

impl Observer {
    /// Nothing observed yet.
    pub fn new(method: CalibrationMethod) -> Observer {
        let bins = if method == CalibrationMethod::MinMax { Vec::new() } else { vec![0; 2 * HALF] };
        Observer { method, low: f32::INFINITY, high: f32::NEG_INFINITY, finite: true, width: 0.0, bins }
    }

    /// Observes values.
    pub fn observe(&mut self, values: &[f32]) {
        let (mut low, mut high, mut finite) = (self.low, self.high, self.finite);
        for v in values {
            low = low.min(*v);
            high = high.max(*v);
            finite &= v.is_finite();
        }
        (self.low, self.high, self.finite) = (low, high, finite);
        if self.method == CalibrationMethod::MinMax || !finite || values.is_empty() {
            return;
        }
        self.widen(f64::from(low.abs().max(high.abs())));
        for v in values {
            let bin = if self.width > 0.0 { (f64::from(*v) / self.width).floor() as i64 } else { 0 };
            let bin = (bin + HALF as i64).clamp(0, 2 * HALF as i64 - 1);
            self.bins[bin as usize] += 1;
        }
    }

    /// Doubles the bins until they cover `largest`.
    fn widen(&mut self, largest: f64) {
        if self.width == 0.0 {
            self.width = largest / HALF as f64;
        }
        while self.width > 0.0 && self.width * (HALF as f64) < largest {
            let mut wide = vec![0; 2 * HALF];
            for (bin, n) in self.bins.iter().enumerate() {
                let from_zero = bin as i64 - HALF as i64;
                wide[(from_zero.div_euclid(2) + HALF as i64) as usize] += n;
            }
            (self.bins, self.width) = (wide, 2.0 * self.width);
        }
    }

    /// The range; NaN if a value was not finite or none was observed.
    pub fn range(&self) -> ValueRange {
        if !self.finite || self.low > self.high {
            return ValueRange { low: f32::NAN, high: f32::NAN };
        }
        let (low, high) = match self.method {
            CalibrationMethod::MinMax => (f64::NEG_INFINITY, f64::INFINITY),
            CalibrationMethod::Percentile => self.middle(),
        };
        let within = |v: f64| v.clamp(f64::from(self.low), f64::from(self.high)) as f32;
        ValueRange { low: within(low), high: within(high) }
    }

    /// The outer edges of the first and last bin within the percentile.
    fn middle(&self) -> (f64, f64) {
        let clipped = CUT * self.bins.iter().sum::<u64>() as f64;
        let beyond = |(sum, _): &(u64, usize)| *sum as f64 > clipped;
        let count = |sum: &mut u64, (bin, n): (usize, &u64)| {
            *sum += n;
            Some((*sum, bin))
        };
        let first = self.bins.iter().enumerate().scan(0, count).find(beyond).map_or(0, |(_, bin)| bin);
        let last = self.bins.iter().enumerate().rev().scan(0, count).find(beyond).map_or(0, |(_, bin)| bin);
        let edge = |bin: usize| (bin as f64 - HALF as f64) * self.width;
        (edge(first), edge(last + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(method: CalibrationMethod, batches: &[&[f32]]) -> ValueRange {
        let mut observer = Observer::new(method);
        batches.iter().for_each(|b| observer.observe(b));
        observer.range()
    }

    #[test]
    fn the_ends_over_all_batches() {
        assert_eq!(range(CalibrationMethod::MinMax, &[&[1.0, -2.0], &[], &[5.0]]), ValueRange { low: -2.0, high: 5.0 });
    }

    #[test]
    fn rare_large_values_are_clipped_and_common_ones_are_not() {
        let many: Vec<f32> = (0..100_000).map(|i| (i % 1000) as f32 / 1000.0).collect();
        // One in 50,000 is clipped, one in 5,000 is not.
        let rare = range(CalibrationMethod::Percentile, &[&many, &[-70.0, 90.0]]);
        assert!(rare.low > -0.1 && rare.low <= 0.0 && (0.99..1.1).contains(&rare.high), "{rare:?}");
        let common = range(CalibrationMethod::Percentile, &[&many, &[-70.0; 20], &[90.0; 20]]);
        assert!(common.low <= -69.9 && common.high >= 89.9, "{common:?}");
        assert_eq!(range(CalibrationMethod::MinMax, &[&many, &[-70.0, 90.0]]), ValueRange { low: -70.0, high: 90.0 });
    }

    #[test]
    fn the_order_of_batches_matters_by_a_bin_at_most() {
        let (small, large): (Vec<f32>, Vec<f32>) =
            ((0..5000).map(|i| i as f32 * 1e-4).collect(), (0..5000).map(|i| 3.0 - i as f32 * 1e-3).collect());
        let (a, b) = (
            range(CalibrationMethod::Percentile, &[&small, &large]),
            range(CalibrationMethod::Percentile, &[&large, &small]),
        );
        let bin = 2.0 * 3.0 / HALF as f32;
        assert!((a.low - b.low).abs() <= bin && (a.high - b.high).abs() <= bin, "{a:?} {b:?}");
    }

    #[test]
    fn zeros_alone_and_before_the_first_other_value() {
        assert_eq!(range(CalibrationMethod::Percentile, &[&[0.0; 9]]), ValueRange { low: 0.0, high: 0.0 });
        let later = range(CalibrationMethod::Percentile, &[&[0.0; 9], &[2.0; 9]]);
        assert_eq!(later, ValueRange { low: 0.0, high: 2.0 });
    }

    #[test]
    fn values_that_are_not_finite_give_no_range() {
        for bad in [f32::NAN, f32::INFINITY] {
            assert!(range(CalibrationMethod::MinMax, &[&[bad], &[1.0]]).quant_params().is_none());
            assert!(range(CalibrationMethod::Percentile, &[&[1.0, bad]]).quant_params().is_none());
        }
        assert!(range(CalibrationMethod::MinMax, &[]).quant_params().is_none());
    }
}
