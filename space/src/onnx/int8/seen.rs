//! The values that something takes over many images, and the range that is made of them.

use super::Range;

/// Which range is made of the values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rule {
    /// From the smallest to the largest value.
    #[default]
    MinMax,
    /// The middle 99.99 % of the values: rare large ones are cut off, and the others get finer steps.
    Percentile,
}

/// The share of values that [`Rule::Percentile`] leaves out at each end.
const CUT: f64 = 0.000_05;

/// Bins on each side of 0.
const HALF: usize = 2048;

/// The values seen so far: their ends, and how often they fall into bins that grow as wide as it takes.
#[derive(Clone, Debug)]
pub struct Seen {
    rule: Rule,
    low: f32,
    high: f32,
    sound: bool,
    /// Of each bin; 0 as long as all values were 0.
    width: f64,
    bins: Vec<u64>,
}

impl Seen {
    /// None yet.
    pub fn new(rule: Rule) -> Seen {
        let bins = if rule == Rule::MinMax { Vec::new() } else { vec![0; 2 * HALF] };
        Seen { rule, low: f32::INFINITY, high: f32::NEG_INFINITY, sound: true, width: 0.0, bins }
    }

    /// Takes in values.
    pub fn take(&mut self, values: &[f32]) {
        let (mut low, mut high, mut sound) = (self.low, self.high, self.sound);
        for v in values {
            low = low.min(*v);
            high = high.max(*v);
            sound &= v.is_finite();
        }
        (self.low, self.high, self.sound) = (low, high, sound);
        if self.rule == Rule::MinMax || !sound || values.is_empty() {
            return;
        }
        self.reach(f64::from(low.abs().max(high.abs())));
        for v in values {
            let bin = if self.width > 0.0 { (f64::from(*v) / self.width).floor() as i64 } else { 0 };
            let bin = (bin + HALF as i64).clamp(0, 2 * HALF as i64 - 1);
            self.bins[bin as usize] += 1;
        }
    }

    /// Makes the bins wide enough.
    fn reach(&mut self, largest: f64) {
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

    /// The range; not finite if a value was not, or none was seen.
    pub fn range(&self) -> Range {
        if !self.sound || self.low > self.high {
            return Range { low: f32::NAN, high: f32::NAN };
        }
        let (low, high) = match self.rule {
            Rule::MinMax => (f64::NEG_INFINITY, f64::INFINITY),
            Rule::Percentile => self.middle(),
        };
        let within = |v: f64| v.clamp(f64::from(self.low), f64::from(self.high)) as f32;
        Range { low: within(low), high: within(high) }
    }

    /// The outer ends of the bins where the share that is left out ends.
    fn middle(&self) -> (f64, f64) {
        let left_out = CUT * self.bins.iter().sum::<u64>() as f64;
        let beyond = |(sum, _): &(u64, usize)| *sum as f64 > left_out;
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

    fn seen(rule: Rule, batches: &[&[f32]]) -> Range {
        let mut seen = Seen::new(rule);
        batches.iter().for_each(|b| seen.take(b));
        seen.range()
    }

    #[test]
    fn the_ends_over_all_batches() {
        assert_eq!(seen(Rule::MinMax, &[&[1.0, -2.0], &[], &[5.0]]), Range { low: -2.0, high: 5.0 });
    }

    #[test]
    fn rare_large_values_are_cut_off_and_common_ones_are_not() {
        let many: Vec<f32> = (0..100_000).map(|i| (i % 1000) as f32 / 1000.0).collect();
        // One in 50,000 is left out, one in 5,000 is not.
        let rare = seen(Rule::Percentile, &[&many, &[-70.0, 90.0]]);
        assert!(rare.low > -0.1 && rare.low <= 0.0 && (0.99..1.1).contains(&rare.high), "{rare:?}");
        let common = seen(Rule::Percentile, &[&many, &[-70.0; 20], &[90.0; 20]]);
        assert!(common.low <= -69.9 && common.high >= 89.9, "{common:?}");
        assert_eq!(seen(Rule::MinMax, &[&many, &[-70.0, 90.0]]), Range { low: -70.0, high: 90.0 });
    }

    #[test]
    fn the_order_of_batches_matters_by_a_bin_at_most() {
        let (small, large): (Vec<f32>, Vec<f32>) =
            ((0..5000).map(|i| i as f32 * 1e-4).collect(), (0..5000).map(|i| 3.0 - i as f32 * 1e-3).collect());
        let (a, b) = (seen(Rule::Percentile, &[&small, &large]), seen(Rule::Percentile, &[&large, &small]));
        let bin = 2.0 * 3.0 / HALF as f32;
        assert!((a.low - b.low).abs() <= bin && (a.high - b.high).abs() <= bin, "{a:?} {b:?}");
    }

    #[test]
    fn zeros_alone_and_before_the_first_other_value() {
        assert_eq!(seen(Rule::Percentile, &[&[0.0; 9]]), Range { low: 0.0, high: 0.0 });
        let later = seen(Rule::Percentile, &[&[0.0; 9], &[2.0; 9]]);
        assert_eq!(later, Range { low: 0.0, high: 2.0 });
    }

    #[test]
    fn what_is_no_number_makes_no_range() {
        for bad in [f32::NAN, f32::INFINITY] {
            assert!(seen(Rule::MinMax, &[&[bad], &[1.0]]).affine().is_none());
            assert!(seen(Rule::Percentile, &[&[1.0, bad]]).affine().is_none());
        }
        assert!(seen(Rule::MinMax, &[]).affine().is_none());
    }
}
