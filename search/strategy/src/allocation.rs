//! Which of several spaces gets the next trials of a search: equal shares, or a multi-armed bandit whose arms are the spaces.

use mobilenas_record::pareto::dominates;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a search divides its trials among several spaces: equally, or by UCB1 (Auer et al., 2002), whose reward of a trial is
/// 1 where it enlarges the hypervolume of the common front, and 0 elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Allocation {
    #[default]
    Equal,
    Ucb1,
}

impl Allocation {
    /// Its name in configs.
    pub fn name(self) -> &'static str {
        match self {
            Allocation::Equal => "equal",
            Allocation::Ucb1 => "ucb1",
        }
    }

    /// Whether it is the default: the digest of a config without it stays.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub fn is_default(&self) -> bool {
        *self == Allocation::default()
    }
}

/// Trials by space. It draws nothing: telling all results of a journal again restores its state.
#[derive(Debug)]
pub struct Allocator {
    allocation: Allocation,
    arms: Vec<Arm>,
    /// Scores that no other known ones dominate, larger better.
    front: Vec<Vec<f64>>,
}

#[derive(Clone, Debug, Default)]
struct Arm {
    trials: u64,
    /// Trials that enlarged the front.
    rewarded: u64,
    closed: bool,
}

impl Allocator {
    /// Before the first trial of so many spaces.
    pub fn new(allocation: Allocation, spaces: usize) -> Allocator {
        Allocator { allocation, arms: vec![Arm::default(); spaces], front: Vec::new() }
    }

    /// The space that the next trials are of; of equals the first. `None` when all are closed.
    pub fn next(&self) -> Option<usize> {
        let open = self.arms.iter().enumerate().filter(|(_, arm)| !arm.closed);
        let fewest = open.clone().min_by_key(|(_, arm)| arm.trials)?;
        match self.allocation {
            Allocation::Ucb1 if fewest.1.trials > 0 => {
                let all: u64 = self.arms.iter().map(|arm| arm.trials).sum();
                let best = open.map(|(i, arm)| (i, arm.upper_bound(all))).reduce(|a, b| if b.1 > a.1 { b } else { a });
                best.map(|(i, _)| i)
            }
            // A space without a trial has no bound.
            Allocation::Equal | Allocation::Ucb1 => Some(fewest.0),
        }
    }

    /// Takes a trial of a space: its objectives, larger better; `None` if it was not scored or passed a bound.
    pub fn tell(&mut self, space: usize, scores: Option<&[f64]>) {
        let Some(arm) = self.arms.get_mut(space) else { return };
        arm.trials += 1;
        let Some(scores) = scores else { return };
        if self.front.iter().any(|known| known == scores || dominates(known, scores)) {
            return;
        }
        // The first of all has nothing to enlarge, and its space no merit.
        arm.rewarded += u64::from(!self.front.is_empty());
        self.front.retain(|known| !dominates(scores, known));
        self.front.push(scores.to_vec());
    }

    /// Takes it that a space has no further networks.
    pub fn close(&mut self, space: usize) {
        if let Some(arm) = self.arms.get_mut(space) {
            arm.closed = true;
        }
    }
}

impl Arm {
    /// Upper confidence bound on the mean reward after so many trials of all spaces.
    fn upper_bound(&self, all: u64) -> f64 {
        let own = self.trials as f64;
        self.rewarded as f64 / own + (2.0 * (all as f64).ln() / own).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The spaces of so many trials. A trial's scores are `of(space, trials of that space so far)`.
    fn played(by: Allocation, n: usize, of: impl Fn(usize, u64) -> Option<Vec<f64>>) -> Vec<usize> {
        let (mut allocator, mut out) = (Allocator::new(by, 3), Vec::new());
        while let Some(space) = allocator.next().filter(|_| out.len() < n) {
            let scores = of(space, allocator.arms[space].trials);
            allocator.tell(space, scores.as_deref());
            out.push(space);
        }
        out
    }

    fn count(played: &[usize]) -> [usize; 3] {
        [0, 1, 2].map(|space| played.iter().filter(|s| **s == space).count())
    }

    /// The second space's every trial is a new best one; the others repeat one point.
    fn second_grows(space: usize, n: u64) -> Option<Vec<f64>> {
        Some(if space == 1 { vec![n as f64, n as f64] } else { vec![-1.0, -1.0] })
    }

    #[test]
    fn equal_shares_go_round() {
        let all = played(Allocation::Equal, 8, second_grows);
        assert_eq!(all, [0, 1, 2, 0, 1, 2, 0, 1]);
    }

    #[test]
    fn ucb1_tries_every_space_and_prefers_the_one_that_enlarges_the_front() {
        let all = played(Allocation::Ucb1, 90, second_grows);
        assert_eq!(all[..3], [0, 1, 2]);
        let [first, second, third] = count(&all);
        assert!(second > 2 * first && second > 2 * third, "{first} {second} {third}");
        // None is given up for good.
        assert!(first > 3 && third > 3, "{first} {third}");
    }

    #[test]
    fn ucb1_without_any_reward_is_equal_shares() {
        for none in [None, Some(vec![1.0, 1.0])] {
            let all = played(Allocation::Ucb1, 30, |_, _| none.clone());
            let counts = count(&all);
            assert_eq!(counts, [10, 10, 10]);
        }
    }

    #[test]
    fn the_bound_is_that_of_ucb1() {
        let arm = Arm { trials: 4, rewarded: 1, closed: false };
        assert!((arm.upper_bound(10) - (0.25 + (2.0 * 10f64.ln() / 4.0).sqrt())).abs() < 1e-15);
    }

    #[test]
    fn only_what_enlarges_the_front_is_rewarded() {
        let mut a = Allocator::new(Allocation::Ucb1, 1);
        let points = [[1.0, 5.0], [5.0, 1.0], [1.0, 5.0], [0.5, 4.0], [3.0, 3.0], [6.0, 6.0], [5.0, 1.0]];
        points.iter().for_each(|p| a.tell(0, Some(p)));
        a.tell(0, None);
        assert_eq!((a.arms[0].trials, a.arms[0].rewarded), (8, 3));
        assert_eq!(a.front, [[6.0, 6.0]]);
    }

    #[test]
    fn a_closed_space_gets_no_further_trials() {
        for by in [Allocation::Equal, Allocation::Ucb1] {
            let mut a = Allocator::new(by, 2);
            a.tell(0, None);
            a.close(1);
            assert_eq!(a.next(), Some(0), "{by:?}");
            a.close(0);
            assert_eq!(a.next(), None);
        }
    }

    #[test]
    fn telling_the_results_of_a_journal_again_gives_the_same_choices() {
        let scores = |space: usize, n: u64| Some(vec![((n * 7 + space as u64 * 3) % 11) as f64, (n % 5) as f64]);
        let whole = played(Allocation::Ucb1, 60, scores);
        for cut in [1, 7, 33] {
            let mut again = Allocator::new(Allocation::Ucb1, 3);
            let mut next = Vec::new();
            for (i, space) in whole.iter().enumerate() {
                if i >= cut {
                    next.extend(again.next());
                }
                let told = scores(*space, again.arms[*space].trials);
                again.tell(*space, told.as_deref());
            }
            assert_eq!(next, whole[cut..], "{cut}");
        }
        assert_ne!(whole, played(Allocation::Equal, 60, scores));
    }
}
