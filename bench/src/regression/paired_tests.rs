//! Tests of the paired tier on made-up rounds.
#![allow(clippy::unwrap_used)]

use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};

use super::super::round::PairedRound;
use super::*;

/// Rounds whose processes differ as real ones do.
struct Made {
    rng: ChaCha8Rng,
    /// Logarithm of the true change.
    shift: f64,
    between: f64,
    within: f64,
    /// Change of the calibration kernel of each round, in order; none after the last.
    drift: Vec<f64>,
    asked: Vec<u64>,
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    (0..12).map(|_| rng.random_range(0.0..1.0)).sum::<f64>() - 6.0
}

impl RoundSource for Made {
    fn round(&mut self, index: u64) -> Result<PairedRound, MeasureError> {
        self.asked.push(index);
        let mut side = |shift: f64| -> Vec<f64> {
            let own = shift + self.between / 2f64.sqrt() * normal(&mut self.rng);
            (0..12).map(|_| 10.0 * (own + self.within * normal(&mut self.rng)).exp()).collect()
        };
        let (baseline_ms, candidate_ms) = (side(0.0), side(self.shift));
        let drift = self.drift.get(self.asked.len() - 1).copied().unwrap_or(0.0);
        let kernel_after_ms = 2.0 * (1.0 + drift);
        Ok(PairedRound {
            baseline_ms,
            candidate_ms,
            kernel_before_ms: 2.0,
            kernel_after_ms,
            seconds: 1.0,
            ..PairedRound::default()
        })
    }
}

fn made(seed: u64, change: f64) -> Made {
    let (between, within) = (0.012, 0.02);
    Made { rng: ChaCha8Rng::seed_from_u64(seed), shift: change.ln_1p(), between, within, drift: vec![], asked: vec![] }
}

fn rule() -> PairedRule {
    PairedRule { resamples: 500, ..PairedRule::default() }
}

fn verdicts(change: f64, trials: u64) -> [usize; 3] {
    let mut counts = [0; 3];
    for seed in 0..trials {
        let verdict = rule().compare(&mut made(seed, change), &mut |_| {}).unwrap().verdict;
        counts[match verdict {
            Verdict::Fail => 0,
            Verdict::Inconclusive => 1,
            _ => 2,
        }] += 1;
    }
    counts
}

#[test]
fn the_same_program_does_not_fail() {
    let [fail, _, pass] = verdicts(0.0, 200);
    assert_eq!(fail, 0);
    assert!(pass >= 195, "{pass}");
}

#[test]
fn a_tenth_more_work_fails() {
    let [fail, _, _] = verdicts(0.10, 200);
    assert!(fail >= 198, "{fail}");
}

#[test]
fn a_twentieth_more_work_fails_mostly_and_less_work_never() {
    let [fail, ..] = verdicts(0.05, 100);
    assert!(fail >= 70, "{fail}");
    assert_eq!(verdicts(-0.10, 50), [0, 0, 50]);
}

#[test]
fn a_failure_is_run_twice_and_a_pass_once() {
    let mut slow = made(1, 0.2);
    let seen = rule().compare(&mut slow, &mut |_| {}).unwrap();
    assert_eq!((seen.verdict, slow.asked), (Verdict::Fail, vec![0, 1, 2, 3, 0, 1, 2, 3]));
    assert!(seen.second.is_some());
    let mut same = made(1, 0.0);
    rule().compare(&mut same, &mut |_| {}).unwrap();
    assert_eq!(same.asked, [0, 1, 2, 3]);
}

#[test]
fn a_failure_that_does_not_come_again_is_inconclusive() {
    struct Once(Made);
    impl RoundSource for Once {
        fn round(&mut self, index: u64) -> Result<PairedRound, MeasureError> {
            self.0.shift = if self.0.asked.len() < 4 { 0.2 } else { 0.0 };
            self.0.round(index)
        }
    }
    let seen = rule().compare(&mut Once(made(1, 0.0)), &mut |_| {}).unwrap();
    assert_eq!((seen.verdict, seen.first.verdict), (Verdict::Inconclusive, Verdict::Fail));
    let why = seen.finding("m", &rule()).why;
    assert!(
        why.starts_with("A first run was above +1.00 %, and a second one from scratch did not confirm it."),
        "{why}"
    );
}

#[test]
fn noisy_rounds_are_repeated_counted_and_kept() {
    let mut source = Made { drift: vec![0.0, 0.5, 0.0, -0.3], ..made(1, 0.0) };
    let seen = rule().compare(&mut source, &mut |_| {}).unwrap();
    assert_eq!((seen.repeated(), seen.first.rounds.all.len(), seen.verdict), (2, 6, Verdict::Pass));
    assert_eq!(seen.first.rounds.all[1].noisy.as_deref(), Some("the calibration kernel moved by +50 %"));
    assert_eq!(seen.finding("m", &rule()).words, "4 rounds; 2 noisy rounds repeated");
}

#[test]
fn a_machine_that_never_calms_down_is_inconclusive() {
    let mut source = Made { drift: vec![0.5; 1000], ..made(1, 0.2) };
    let seen = rule().compare(&mut source, &mut |_| {}).unwrap();
    assert_eq!((seen.verdict, source.asked.len()), (Verdict::Inconclusive, 36));
    insta::assert_snapshot!(seen.finding("m", &rule()).why, @"The machine was too noisy for enough rounds: 36 did not count. Run it again when it is calmer.");
}

#[test]
fn stolen_time_counts_from_the_second_tick_on() {
    let round = |steal: f64, seconds: f64| PairedRound {
        load: mobilenas_host::load::Change { steal_ms: Some(steal), waiting: None, busy_cores: None },
        kernel_before_ms: 1.0,
        kernel_after_ms: 1.0,
        seconds,
        ..PairedRound::default()
    };
    let q = RoundLimits::default();
    assert_eq!(q.reason(&round(10.0, 1.0)), None);
    assert_eq!(q.reason(&round(20.0, 1.0)).as_deref(), Some("the host took 2.0 % of the time away"));
    assert_eq!(q.reason(&round(20.0, 4.0)), None);
}
