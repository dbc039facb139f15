//! What holds for every strategy.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use mobilenas_record::{Goal, pareto};
use mobilenas_space::{Domain, Genome};

use super::*;
use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;

/// A generator for a step of a search.
pub(crate) fn rng(seed: u64, step: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (bytes, word) in key.chunks_exact_mut(8).zip([seed, 5, step]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// Every strategy, small.
fn all() -> Vec<Box<dyn Strategy>> {
    vec![
        Box::new(Random),
        Box::new(RegularizedEvolution::new(10, 4, 0.1)),
        Box::new(Nsga2::new(10, 0.9, None)),
        Box::new(MesSlimming::new(2, None, 0..8)),
        Box::new(MesSlimming::new(1, None, 0..8).probing(Some(2))),
        Box::new(Predictor::new(8, 0.1)),
    ]
}

fn domain() -> Domain {
    Domain::new([4, 3, 1, 5, 2, 4, 3, 4])
}

/// Two objectives in conflict, with some interaction: larger networks are better, with less and less to gain; smaller ones
/// are cheaper.
fn scores(domain: &Domain, genome: &Genome) -> Vec<f64> {
    let share = |i: usize| f64::from(genome.choices()[i]) / f64::from(domain.counts()[i] - 1);
    let (mut good, mut cost) = (0.0, 0.0);
    for (k, &i) in domain.free().iter().enumerate() {
        good += (1.0 + k as f64 % 3.0) * share(i).sqrt();
        cost += (1.0 + (k as f64 + 1.0) % 3.0) * share(i);
    }
    vec![good - 0.5 * (share(0) - share(1)).abs(), 100.0 / (1.0 + cost)]
}

fn told(domain: &Domain, genome: Genome) -> Observation {
    Observation { scores: Some(scores(domain, &genome)), genome, violation: 0.0 }
}

/// Hypervolume after so many different genomes, asked for `batch` at a time.
fn volume(strategy: &mut dyn Strategy, seed: u64, trials: usize, batch: usize) -> f64 {
    let (domain, mut known) = (domain(), HashMap::new());
    for step in 0..10_000 {
        let asked = strategy.ask(&domain, batch, &mut rng(seed, step));
        if known.len() >= trials || asked.is_empty() {
            break;
        }
        let came: Vec<Observation> = asked.into_iter().map(|g| told(&domain, g)).collect();
        strategy.tell(&came);
        known.extend(came.into_iter().take(trials - known.len()).map(|t| (t.genome, t.scores.unwrap())));
    }
    let points: Vec<Vec<f64>> = known.into_values().collect();
    pareto::hypervolume(&points, &[0.0, 0.0], &[Goal::Maximize, Goal::Maximize])
}

#[test]
fn every_strategy_beats_chance_in_median() {
    let median = |make: &dyn Fn() -> Box<dyn Strategy>| {
        let mut v: Vec<f64> = (0..9).map(|seed| volume(make().as_mut(), seed, 120, 4)).collect();
        v.sort_by(f64::total_cmp);
        v[4]
    };
    let chance = median(&|| Box::new(Random));
    for i in 1..all().len() {
        let own = median(&|| all().swap_remove(i));
        assert!(own > chance, "{}: {own} against {chance}", all()[i].name());
    }
}

#[test]
fn telling_the_journal_again_brings_each_to_where_it_was() {
    let domain = domain();
    for i in 0..all().len() {
        for killed_at in [1, 7, 13, 29] {
            let run = |strategy: &mut dyn Strategy, past: &[Observation], steps: u64| {
                let mut journal: Vec<Observation> = Vec::new();
                for step in 0..steps {
                    // As the loop does it: a resumed run asks again, and is told what the journal knows.
                    let asked = strategy.ask(&domain, 2, &mut rng(1, step));
                    let came: Vec<Observation> = asked
                        .into_iter()
                        .enumerate()
                        .map(|(k, g)| match past.get(journal.len() + k) {
                            Some(known) => known.clone(),
                            None if step % 5 == 4 => Observation { genome: g, scores: None, violation: 0.0 },
                            None => told(&domain, g),
                        })
                        .collect();
                    strategy.tell(&came);
                    journal.extend(came);
                }
                journal
            };
            let whole = run(all().swap_remove(i).as_mut(), &[], 40);
            let part = run(all().swap_remove(i).as_mut(), &[], killed_at);
            let resumed = run(all().swap_remove(i).as_mut(), &part, 40);
            assert_eq!(resumed, whole, "{} killed at {killed_at}", all()[i].name());
        }
    }
}

#[test]
fn all_genomes_fit_whatever_is_told() {
    for domain in [domain(), Domain::new([1, 1]), Domain::new([2]), Domain::new(vec![7; 30])] {
        for mut strategy in all() {
            for step in 0..60 {
                let asked = strategy.ask(&domain, 3, &mut rng(2, step));
                assert!(asked.len() <= 3);
                let came: Vec<Observation> = asked
                    .into_iter()
                    .enumerate()
                    .map(|(k, genome)| {
                        assert_eq!(domain.genome(genome.choices().iter().copied()).as_ref(), Some(&genome));
                        let scores = (k != 1).then(|| vec![1.0, if step % 2 == 0 { 1.0 } else { -1e300 }]);
                        Observation { genome, scores, violation: if k == 2 { 0.5 } else { 0.0 } }
                    })
                    .collect();
                strategy.tell(&came);
            }
        }
    }
}

#[test]
fn how_many_threads_there_are_changes_no_child() {
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let (domain, mut strategy, mut all) = (Domain::new(vec![5; 12]), Nsga2::new(60, 0.9, None), Vec::new());
        for step in 0..6 {
            let asked = pool.install(|| strategy.ask(&domain, 60, &mut rng(5, step)));
            let sum = |g: &Genome| g.choices().iter().map(|c| f64::from(*c)).sum::<f64>();
            let first = |g: &Genome| f64::from(g.choices()[0]);
            let told: Vec<Observation> = asked
                .into_iter()
                .map(|g| Observation { scores: Some(vec![sum(&g) + first(&g), -sum(&g)]), genome: g, violation: 0.0 })
                .collect();
            strategy.tell(&told);
            all.extend(told);
        }
        all
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn within_the_bounds_comes_first() {
    // Feasible only where the first knob is 0; the scores pull the other way.
    let domain = Domain::new(vec![8; 6]);
    let mut strategy = Nsga2::new(20, 0.9, None);
    for step in 0..60 {
        let asked = strategy.ask(&domain, 20, &mut rng(3, step));
        let came: Vec<Observation> = asked
            .into_iter()
            .map(|genome| {
                let first = f64::from(genome.choices()[0]);
                let sum: f64 = genome.choices().iter().map(|c| f64::from(*c)).sum();
                Observation { genome, scores: Some(vec![first * 10.0 + sum, -sum]), violation: first / 7.0 }
            })
            .collect();
        strategy.tell(&came);
    }
    let front: Vec<&Genome> = strategy.front().collect();
    assert!(front.len() > 5 && front.iter().all(|g| g.choices()[0] == 0), "{front:?}");
}

#[test]
fn slimming_takes_the_cheapest_change_and_keeps_to_the_beam() {
    // One knob costs nothing to lower, one costs much, one gains nothing.
    let domain = Domain::new([3, 3, 2]);
    let score = |g: &Genome| {
        let c = g.choices();
        vec![f64::from(c[1]) * 10.0 + f64::from(c[2]), 6.0 - f64::from(c[0] + c[1])]
    };
    let mut strategy = MesSlimming::new(1, Some(4.0), 0..3);
    let mut steps = Vec::new();
    loop {
        let asked = strategy.ask(&domain, 100, &mut rng(0, 0));
        if asked.is_empty() {
            break;
        }
        steps.push(asked.iter().map(|g| g.choices().to_vec()).collect::<Vec<_>>());
        let came: Vec<Observation> = asked
            .into_iter()
            .map(|genome| Observation { scores: Some(score(&genome)), genome, violation: 0.0 })
            .collect();
        strategy.tell(&came);
    }
    assert_eq!(
        steps,
        [
            vec![vec![2, 2, 1]],
            vec![vec![1, 2, 1], vec![2, 1, 1], vec![2, 2, 0]],
            vec![vec![0, 2, 1], vec![1, 1, 1], vec![1, 2, 0]],
        ]
    );
    assert_eq!(strategy.notes(), ["Slimming ended after 2 steps, when the target was reached."]);
}

/// Follows slimming to its end: what each step asked for, and its notes.
fn slimmed(domain: &Domain, knobs: &[usize], score: impl Fn(&[u8]) -> Vec<f64>) -> (Vec<Vec<Vec<u8>>>, String) {
    followed(MesSlimming::new(1, None, knobs.iter().copied()), domain, score)
}

fn followed(
    mut strategy: MesSlimming,
    domain: &Domain,
    score: impl Fn(&[u8]) -> Vec<f64>,
) -> (Vec<Vec<Vec<u8>>>, String) {
    let mut asked_for = Vec::new();
    loop {
        let asked = strategy.ask(domain, usize::MAX, &mut rng(0, 0));
        if asked.is_empty() {
            return (asked_for, strategy.notes().concat());
        }
        asked_for.push(asked.iter().map(|g| g.choices().to_vec()).collect());
        let came: Vec<Observation> = asked
            .into_iter()
            .map(|genome| Observation { scores: Some(score(genome.choices())), genome, violation: 0.0 })
            .collect();
        strategy.tell(&came);
    }
}

#[test]
fn a_probing_step_tries_what_is_new_and_what_was_cheapest() {
    let domain = Domain::new([3, 3, 3, 3]);
    let lost = |c: &[u8]| (1..).zip(c).map(|(price, c)| f64::from(price * (2 - i32::from(*c)))).sum::<f64>();
    let gained = |c: &[u8]| f64::from(8 - c.iter().sum::<u8>());
    let (asked, said) =
        followed(MesSlimming::new(1, None, 0..4).probing(Some(1)), &domain, |c| vec![100.0 - lost(c), gained(c)]);
    assert_eq!(asked[1].len(), 4, "nothing is known yet");
    assert_eq!(
        asked[2],
        [[0, 2, 2, 2], [1, 1, 2, 2]],
        "the next choice of the knob that was lowered, and the cheapest"
    );
    assert_eq!(asked[3], [[0, 1, 2, 2]], "the cheapest alone");
    assert_eq!(asked[4], [[0, 0, 2, 2], [0, 1, 1, 2]]);
    assert_eq!(said, "Slimming ended after 8 steps, at the smallest subnet.");
    let (all, _) = slimmed(&domain, &[0, 1, 2, 3], |c| vec![100.0 - lost(c), gained(c)]);
    assert!(asked.concat().len() < all.concat().len());
    // The cheapest once gains nothing any more: all are tried before it ends.
    let no_more = |c: &[u8]| if c[0] < 2 && c[1] < 2 { -1.0 } else { gained(c) };
    let (asked, _) =
        followed(MesSlimming::new(1, None, 0..4).probing(Some(1)), &domain, |c| vec![100.0 - lost(c), no_more(c)]);
    assert!(asked.concat().contains(&vec![0, 2, 0, 0]), "{asked:?}");
}

#[test]
fn slimming_lowers_only_the_knobs_that_it_may() {
    let domain = Domain::new([3, 3, 3]);
    let (asked, said) =
        slimmed(&domain, &[0, 2], |c| vec![f64::from(c[0] + c[2]), 9.0 - f64::from(c[0] + c[1] + c[2])]);
    assert!(asked.concat().iter().all(|c| c[1] == 2));
    // Both actions of the largest are asked for at once.
    assert_eq!(asked[1], [[1, 2, 2], [2, 2, 1]]);
    assert_eq!(said, "Slimming ended after 4 steps, at the smallest subnet.");
}

#[test]
fn slimming_takes_what_loses_nothing_first_then_the_larger_gain_then_the_first() {
    // The second knob gains accuracy as it shrinks, the third loses none and gains more score; the first only costs.
    let domain = Domain::new([2, 2, 2, 2]);
    let score = |c: &[u8]| {
        let lost = 5.0 * f64::from(1 - c[0]) - 2.0 * f64::from(1 - c[1]);
        vec![50.0 - lost, f64::from(1 - c[0]) * 9.0 + f64::from(1 - c[1]) + 3.0 * f64::from(2 - c[2] - c[3])]
    };
    let (asked, _) = slimmed(&domain, &[0, 1, 2, 3], score);
    // The third and the fourth are alike: of equals the first in the order of genomes, which lowers the third.
    assert_eq!(asked[2].iter().filter(|c| c[2] == 0).count(), asked[2].len(), "{asked:?}");
    assert_eq!(asked[3].iter().filter(|c| c[2] + c[3] == 0).count(), asked[3].len(), "{asked:?}");
    assert_eq!(asked[4], [[0, 0, 0, 0]], "{asked:?}");
}

#[test]
fn a_predictor_is_tested_on_what_it_was_not_fitted_on() {
    let domain = domain();
    let (mut strategy, mut all, mut known) = (Predictor::new(10, 0.1), Vec::new(), 0);
    for step in 0..40 {
        let asked = strategy.ask(&domain, 4, &mut rng(4, step));
        let before = known;
        known += asked.len();
        let came: Vec<Observation> = asked.into_iter().map(|g| told(&domain, g)).collect();
        strategy.tell(&came);
        for f in strategy.foretold() {
            assert!(f.fitted_on >= 10 && f.trials > 0 && f.fitted_on + f.trials <= before, "{f:?} before {before}");
            assert!(f.mean_error.is_finite() && f.kendall.is_none_or(|t| (-1.0..=1.0).contains(&t)));
            all.push(f);
        }
    }
    let first = all.first().unwrap();
    assert_eq!(first.fitted_on, 12, "{all:?}");
    // It gets better with more trials.
    let mean = |some: &[mobilenas_record::run::PredictorFit]| some.iter().map(|f| f.mean_error).sum::<f64>();
    assert!(mean(&all[all.len() - 3..]) < mean(&all[..3]), "{all:?}");
}
