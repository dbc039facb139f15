//! When a search has gone on long enough: trials, or a front that stands still.

use mobilenas_record::{Goal, pareto};

use crate::config::{Search, Still};

/// What a search has had, counted trial by trial in the order of the journal, so that a resumed one counts the same.
#[derive(Debug)]
pub(super) struct Budget {
    trials: u64,
    still: Option<Still>,
    /// Trials that were asked for.
    pub asked: usize,
    /// Of each trial that counts, its objectives, larger better; `None` if it was not scored or passed a bound.
    scores: Vec<Option<Vec<f64>>>,
}

impl Budget {
    pub(super) fn new(search: &Search) -> Budget {
        Budget { trials: search.trials, still: search.until_still.clone(), asked: 0, scores: Vec::new() }
    }

    /// Counts a trial. What a bound ended before its accuracy was known cost next to nothing, and is no trial scored.
    pub(super) fn take(&mut self, whole: bool, scores: Option<Vec<f64>>) {
        self.asked += 1;
        if whole {
            self.scores.push(scores);
        }
    }

    /// Trials that counted.
    pub(super) fn scored(&self) -> u64 {
        self.scores.len() as u64
    }

    /// Trials that are left.
    pub(super) fn left(&self) -> u64 {
        if self.asked as u64 >= 20 * self.trials { 0 } else { self.trials.saturating_sub(self.scored()) }
    }

    /// In words, that the front has stood still for long enough.
    pub(super) fn still(&self) -> Option<String> {
        let rule = self.still.as_ref()?;
        let before = self.scores.len().checked_sub(rule.trials as usize).filter(|n| *n > 0)?;
        let points: Vec<&Vec<f64>> = self.scores.iter().flatten().collect();
        let n = points.first()?.len();
        let reference: Vec<f64> = (0..n).map(|k| points.iter().map(|p| p[k]).fold(f64::INFINITY, f64::min)).collect();
        let goals = vec![Goal::Maximize; n];
        let volume = |count: usize| {
            let points: Vec<&Vec<f64>> = self.scores[..count].iter().flatten().collect();
            let front: Vec<&Vec<f64>> = pareto::front(&points, &goals).into_iter().map(|i| points[i]).collect();
            pareto::hypervolume(&front, &reference, &goals)
        };
        let (then, now) = (volume(before), volume(self.scores.len()));
        (now - then <= rule.gain * now).then(|| {
            format!(
                "The search ended after {} trials: in the last {} the front's hypervolume grew by no more than {}.",
                self.scores.len(),
                rule.trials,
                rule.gain
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(trials: u64, still: Option<Still>) -> Budget {
        Budget { trials, still, asked: 0, scores: Vec::new() }
    }

    #[test]
    fn it_ends_when_the_front_stands_still_and_not_before() {
        let mut b = budget(100, Some(Still { trials: 3, gain: 0.01 }));
        let mut at = Vec::new();
        // The front grows until the sixth trial; what follows is dominated, failed, or within a hundredth.
        let points = [(1, 1), (0, 300), (300, 0), (100, 100), (150, 150), (200, 200), (90, 90), (0, 0), (201, 200)];
        for (i, (x, y)) in points.into_iter().enumerate() {
            b.take(true, (i != 7).then(|| vec![f64::from(x), f64::from(y)]));
            at.extend(b.still().map(|_| i));
        }
        assert_eq!(at, [8]);
        assert_eq!((b.scored(), b.left()), (9, 91));
    }

    #[test]
    fn what_a_bound_ended_early_is_no_trial_but_not_without_end() {
        let mut b = budget(2, None);
        b.take(true, None);
        b.take(false, None);
        assert_eq!((b.scored(), b.left(), b.asked), (1, 1, 2));
        (0..38).for_each(|_| b.take(false, None));
        assert_eq!(b.left(), 0);
        assert_eq!(budget(5, Some(Still { trials: 1, gain: 0.0 })).still(), None);
    }
}
