//! Interleaved measurement: many things timed in rounds of random order, with a reference in every round.
//!
//! The host's speed changes over minutes. What is timed in one round sees one speed, so a time relative to the round's
//! reference holds while the times themselves drift; its median over rounds is what is compared.

use rand::Rng;
use rand::seq::SliceRandom as _;

use crate::stats::{median, quantile};
use mobilenas_host::{Clock, time_ms};

/// How things are interleaved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interleaving {
    /// Rounds, in each of which every thing has its turn once and the reference `references` times.
    pub rounds: usize,
    /// Runs of each before the first round; 0 where a timed run warms itself up, and the reference then has none before.
    pub warm: usize,
    /// Runs right before a timed one, which are not timed: 0 measures with cold caches.
    pub lead: usize,
    /// Whether the run right after a timed one is timed too, as [`Series::again`].
    pub again: bool,
    /// Timed runs of the reference in a round, each after a run that is not timed.
    pub references: usize,
}

/// The times of one thing, one for each round.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Series {
    /// Milliseconds.
    pub ms: Vec<f64>,
    /// Times over the median of the reference in the same round.
    pub ratio: Vec<f64>,
    /// The same of the runs right after, with warm caches, if they were timed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub again: Vec<f64>,
}

impl Series {
    /// Median of the ratios to the reference.
    pub fn ratio(&self) -> f64 {
        median(&self.ratio).unwrap_or(f64::NAN)
    }

    /// Median of the ratios of the runs right after, if they were timed.
    pub fn again(&self) -> Option<f64> {
        median(&self.again)
    }

    /// From the first to the third quartile of the ratios, as a share of their median.
    pub fn spread(&self) -> f64 {
        match (quantile(&self.ratio, 0.25), quantile(&self.ratio, 0.75)) {
            (Some(low), Some(high)) => (high - low) / self.ratio(),
            _ => f64::NAN,
        }
    }

    /// Adds the rounds of another series.
    pub fn join(&mut self, other: &Series) {
        self.ms.extend(&other.ms);
        self.ratio.extend(&other.ratio);
        self.again.extend(&other.again);
    }
}

/// Times `n` things and, as number `n`, the reference. `ready` is called before each run of things and is not timed.
///
/// Gives the series of each thing, and the medians of the reference in ms, one a round.
///
/// # Errors
/// The first error of `ready` or `run`.
pub fn interleave<E>(
    clock: &dyn Clock,
    how: Interleaving,
    n: usize,
    rng: &mut dyn Rng,
    mut ready: impl FnMut(usize) -> Result<(), E>,
    mut run: impl FnMut(usize) -> Result<(), E>,
) -> Result<(Vec<Series>, Vec<f64>), E> {
    let time = |i: usize| {
        ready(i)?;
        time_ms(clock, || run(i))
    };
    interleave_by(how, n, rng, |_| Ok(()), time)
}

/// The same where `time` runs a thing and knows how many ms it took. `round` is called before each round with its number.
///
/// # Errors
/// The first error of `round` or `time`.
pub fn interleave_by<E>(
    how: Interleaving,
    n: usize,
    rng: &mut dyn Rng,
    mut round: impl FnMut(usize) -> Result<(), E>,
    mut time: impl FnMut(usize) -> Result<f64, E>,
) -> Result<(Vec<Series>, Vec<f64>), E> {
    for i in 0..=n {
        for _ in 0..how.warm {
            time(i)?;
        }
    }
    let (mut all, mut reference) = (vec![Series::default(); n], Vec::with_capacity(how.rounds));
    let mut order: Vec<usize> = (0..n).chain(std::iter::repeat_n(n, how.references.max(1))).collect();
    for number in 0..how.rounds {
        round(number)?;
        order.shuffle(rng);
        let mut base = Vec::with_capacity(how.references);
        for &i in &order {
            for _ in 0..if i == n { usize::from(how.warm > 0) } else { how.lead } {
                time(i)?;
            }
            let ms = time(i)?;
            if i == n {
                base.push(ms);
                continue;
            }
            all[i].ms.push(ms);
            if how.again {
                all[i].again.push(time(i)?);
            }
        }
        let base = median(&base).unwrap_or(f64::NAN);
        reference.push(base);
        for s in &mut all {
            s.ratio.extend(s.ms.last().map(|ms| ms / base));
            s.again.last_mut().into_iter().for_each(|ms| *ms /= base);
        }
    }
    Ok((all, reference))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::time::Duration;

    use mobilenas_host::FakeClock;
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;

    use super::*;

    /// Things that take 1, 2, 3 ms and a reference that takes 10, on a host that halves its speed every second round.
    fn timed(how: Interleaving) -> (Vec<Series>, Vec<f64>, Vec<usize>) {
        let (clock, calls) = (FakeClock::default(), RefCell::new(Vec::new()));
        let run = |i: usize| {
            calls.borrow_mut().push(i);
            let slow = if clock.now().as_micros() / 100_000 % 2 == 1 { 2 } else { 1 };
            clock.advance(Duration::from_micros([1000, 2000, 3000, 10_000][i] * slow));
            Ok::<(), ()>(())
        };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (series, reference) = interleave(&clock, how, 3, &mut rng, |_| Ok(()), run).unwrap();
        (series, reference, calls.into_inner())
    }

    #[test]
    fn ratios_hold_while_the_host_changes_its_speed() {
        let how = Interleaving { rounds: 41, warm: 1, lead: 0, again: false, references: 1 };
        let (series, reference, _) = timed(how);
        assert_eq!(reference.len(), 41);
        assert!(reference.contains(&10.0) && reference.contains(&20.0), "{reference:?}");
        for (s, expected) in series.iter().zip([0.1, 0.2, 0.3]) {
            assert_eq!((s.ms.len(), s.ratio.len()), (41, 41));
            assert!((s.ratio() - expected).abs() < 1e-12, "{} {expected}", s.ratio());
        }
    }

    #[test]
    fn the_run_right_after_is_timed_on_its_own() {
        let (clock, last) = (FakeClock::default(), Cell::new(9));
        let run = |i: usize| {
            let times = if last.replace(i) == i { 1 } else { 3 };
            clock.advance(Duration::from_micros([1000, 2000, 10_000][i] * times));
            Ok::<(), ()>(())
        };
        let how = Interleaving { rounds: 5, warm: 1, lead: 0, again: true, references: 1 };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (series, _) = interleave(&clock, how, 2, &mut rng, |_| Ok(()), run).unwrap();
        for (s, expected) in series.iter().zip([0.1, 0.2]) {
            assert_eq!((s.ratio.len(), s.again.len()), (5, 5));
            assert!((s.ratio() - 3.0 * expected).abs() < 1e-12, "{s:?}");
            assert!((s.again().unwrap() - expected).abs() < 1e-12, "{s:?}");
        }
    }

    #[test]
    fn every_round_has_every_thing_once_in_an_order_of_its_own() {
        let how = Interleaving { rounds: 6, warm: 2, lead: 1, again: false, references: 2 };
        let (_, _, calls) = timed(how);
        let (warm, rest) = calls.split_at(4 * 2);
        assert_eq!(warm, [0, 0, 1, 1, 2, 2, 3, 3]);
        // Three things and two references, each with one run before.
        let round = 2 * (3 + 2);
        assert_eq!(rest.len(), 6 * round);
        let orders: Vec<&[usize]> = rest.chunks(round).collect();
        for order in &orders {
            let mut sorted = order.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 0, 1, 1, 2, 2, 3, 3, 3, 3]);
        }
        assert!(orders.iter().any(|o| o != &orders[0]));
    }

    #[test]
    fn what_warms_itself_up_runs_as_often_as_it_is_timed() {
        let (rounds, calls) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let how = Interleaving { rounds: 3, warm: 0, lead: 0, again: false, references: 1 };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let round = |i| {
            rounds.borrow_mut().push((i, calls.borrow().len()));
            Ok::<(), ()>(())
        };
        let time = |i: usize| {
            calls.borrow_mut().push(i);
            Ok([3.0, 12.0][i])
        };
        let (series, reference) = interleave_by(how, 1, &mut rng, round, time).unwrap();
        assert_eq!((reference, series[0].ratio()), (vec![12.0; 3], 0.25));
        assert_eq!(rounds.into_inner(), [(0, 0), (1, 2), (2, 4)]);
        assert_eq!(calls.borrow().len(), 3 * 2);
    }

    #[test]
    fn spread_is_the_middle_half_over_the_median() {
        let s = Series { ms: vec![], ratio: vec![1.0, 2.0, 3.0, 4.0, 5.0], again: vec![] };
        assert_eq!(s.spread(), (4.0 - 2.0) / 3.0);
    }
}
