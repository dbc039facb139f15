//! Ranges and ticks of an axis: steps of 1, 2 or 5 times a power of ten, labelled with as many decimals as they need and
//! with one SI prefix.

use mobilenas_record::text::{self, si};

/// Values of an axis, from end to end, with its ticks.
#[derive(Clone, Debug, PartialEq)]
pub struct Ticks {
    /// Smallest and largest value shown.
    pub range: (f64, f64),
    /// Value and label of each tick, ascending.
    pub marks: Vec<(f64, String)>,
    log: bool,
}

impl Ticks {
    /// An axis that shows all of `values` (finite) with some room, with about `wanted` ticks.
    pub fn around(values: impl Iterator<Item = f64>, wanted: usize) -> Ticks {
        let (lo, hi) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)));
        let (lo, hi) = if lo <= hi { (lo, hi) } else { (0.0, 1.0) };
        // One value alone, or values equal but for rounding, stand in the middle of a range of their own size.
        let span = if hi - lo > lo.abs().max(hi.abs()) * 1e-9 { hi - lo } else { (hi.abs() * 0.2).max(1e-3) };
        let room = if hi - lo == span { span * 0.07 } else { span * 0.5 };
        let range = (if lo >= 0.0 { (lo - room).max(0.0) } else { lo - room }, hi + room);
        let step = step((range.1 - range.0) / wanted.max(1) as f64);
        let (divisor, prefix) = si(range.1 / 2.0);
        let decimals = (-((step / divisor).log10() + 1e-9).floor()).max(0.0) as usize;
        let (first, last) = ((range.0 / step).ceil() as i64, (range.1 / step).floor() as i64);
        let label = |v: f64| match prefix {
            "" => format!("{v:.decimals$}"),
            _ if v == 0.0 => "0".to_owned(),
            _ => format!("{:.decimals$} {prefix}", v / divisor),
        };
        let marks = (first..=last).map(|i| i as f64 * step).map(|v| (v, label(v))).collect();
        Ticks { range, marks, log: false }
    }

    /// A logarithmic axis that shows all of `values` (finite, positive) with some room: ticks at 1, 2 and 5 times powers of
    /// ten; where there are more than five powers, at the powers alone.
    pub fn logarithmic(values: impl Iterator<Item = f64>) -> Ticks {
        let (lo, hi) = values.fold((f64::INFINITY, 0.0f64), |(lo, hi), v| (lo.min(v), hi.max(v)));
        let (lo, hi) = if lo <= hi { (lo, hi) } else { (1.0, 10.0) };
        let room = (hi / lo).powf(0.07).max(1.2);
        let range = (lo / room, hi * room);
        let powers = range.0.log10().floor() as i32..=range.1.log10().floor() as i32;
        let each: &[f64] = if powers.clone().count() > 5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let all = powers.flat_map(|power| each.iter().map(move |m| m * 10f64.powi(power)));
        let label = |v: f64| {
            let (divisor, prefix) = si(v);
            let number = text::significant(v / divisor, 1);
            if prefix.is_empty() { number } else { format!("{number} {prefix}") }
        };
        let marks = all.filter(|v| (range.0..=range.1).contains(v)).map(|v| (v, label(v))).collect();
        Ticks { range, marks, log: true }
    }

    /// Where `value` stands between the ends: 0 at the first, 1 at the last.
    pub fn position(&self, value: f64) -> f64 {
        let at = |v: f64| if self.log { v.ln() } else { v };
        (at(value) - at(self.range.0)) / (at(self.range.1) - at(self.range.0))
    }
}

/// The smallest of 1, 2, 5 times a power of ten that is not less than `least`.
fn step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|m| m * power).find(|s| *s >= least * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values: &[f64], wanted: usize) -> Vec<String> {
        Ticks::around(values.iter().copied(), wanted).marks.into_iter().map(|(_, l)| l).collect()
    }

    #[test]
    fn steps_are_round_and_labels_short() {
        assert_eq!(labels(&[5.2, 11.8], 6), ["6", "8", "10", "12"]);
        assert_eq!(labels(&[0.91, 1.34], 6), ["0.9", "1.0", "1.1", "1.2", "1.3"]);
        assert_eq!(labels(&[0.0, 100.0], 5), ["0", "50", "100"]);
        assert_eq!(labels(&[0.0, 6.4e6], 4), ["0", "2 M", "4 M", "6 M"]);
    }

    #[test]
    fn a_logarithmic_axis_has_ticks_at_round_numbers_and_room() {
        let of = |values: &[f64]| Ticks::logarithmic(values.iter().copied());
        let labels = |t: &Ticks| t.marks.iter().map(|(_, l)| l.clone()).collect::<Vec<_>>();
        let t = of(&[1.7, 731.0]);
        assert_eq!(labels(&t), ["2", "5", "10", "20", "50", "100", "200", "500", "1 k"]);
        assert!((t.position(10.0) - t.position(1.0) - (t.position(100.0) - t.position(10.0))).abs() < 1e-12);
        assert_eq!(labels(&of(&[1e3, 3e9])), ["1 k", "10 k", "100 k", "1 M", "10 M", "100 M", "1 G"]);
        assert_eq!(labels(&of(&[0.02, 0.3])), ["0.02", "0.05", "0.1", "0.2"]);
        for values in [&[7.0][..], &[]] {
            let t = of(values);
            assert!(t.range.0 < t.range.1 && values.iter().all(|v| (0.0..=1.0).contains(&t.position(*v))), "{t:?}");
        }
    }

    #[test]
    fn one_value_and_no_value_have_an_axis() {
        for values in [&[7.0][..], &[0.0], &[-3.0, -3.0], &[]] {
            let t = Ticks::around(values.iter().copied(), 5);
            assert!(t.range.0 < t.range.1 && t.marks.len() >= 2, "{t:?}");
            assert!(values.iter().all(|v| (0.0..=1.0).contains(&t.position(*v))), "{t:?}");
        }
    }

    #[test]
    fn no_two_ticks_have_the_same_label() {
        for scale in [1e-4, 0.03, 1.0, 7.7, 1234.0, 8e6] {
            let found = labels(&[0.31 * scale, 0.33 * scale, 1.9 * scale], 7);
            let unique: std::collections::BTreeSet<_> = found.iter().collect();
            assert_eq!(unique.len(), found.len(), "{found:?}");
        }
    }
}
