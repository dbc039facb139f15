//! When a search ends: after its trials, or by early stopping.

use mobilenas_record::metric::name as metric;
use mobilenas_record::run::{Trial, TrialOutcome};
use mobilenas_record::{Goal, pareto};

use crate::config::{EarlyStopping, Search};

/// What a search has had, counted trial by trial in the order of the journal, so that a resumed one counts the same.
#[derive(Debug)]
pub(super) struct Budget {
    trials: u64,
    early_stopping: Option<EarlyStopping>,
    /// Trials that were asked for.
    pub asked: usize,
    /// Of each trial that counts, its objectives, larger better; `None` if it was not scored or passed a bound.
    scores: Vec<Option<Vec<f64>>>,
}

impl Budget {
    pub(super) fn new(search: &Search) -> Budget {
        Budget { trials: search.trials, early_stopping: search.early_stopping.clone(), asked: 0, scores: Vec::new() }
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

    /// Why early stopping ends the search, if it does.
    pub(super) fn stopped_early(&self) -> Option<String> {
        let rule = self.early_stopping.as_ref()?;
        let before = self.scores.len().checked_sub(rule.patience as usize).filter(|n| *n > 0)?;
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
        (now - then <= rule.min_delta * now).then(|| {
            format!(
                "The search ended after {} trials: in the last {} the front's hypervolume grew by no more than {}.",
                self.scores.len(),
                rule.patience,
                rule.min_delta
            )
        })
    }
}

/// Whether a trial counts: what a bound ended before its accuracy was known cost next to nothing.
pub(super) fn whole(t: &Trial) -> bool {
    match &t.outcome {
        TrialOutcome::Infeasible { metrics, .. } => metrics.contains_key(metric::TOP1),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(trials: u64, early_stopping: Option<EarlyStopping>) -> Budget {
        Budget { trials, early_stopping, asked: 0, scores: Vec::new() }
    }

    #[test]
    fn early_stopping_ends_a_search_when_the_hypervolume_has_stopped_growing_and_not_before() {
        let mut b = budget(100, Some(EarlyStopping { patience: 3, min_delta: 0.01 }));
        let mut at = Vec::new();
        // The front grows until the sixth trial; what follows is dominated, failed, or within a hundredth.
        let points = [(1, 1), (0, 300), (300, 0), (100, 100), (150, 150), (200, 200), (90, 90), (0, 0), (201, 200)];
        for (i, (x, y)) in points.into_iter().enumerate() {
            b.take(true, (i != 7).then(|| vec![f64::from(x), f64::from(y)]));
            at.extend(b.stopped_early().map(|_| i));
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
        assert_eq!(budget(5, Some(EarlyStopping { patience: 1, min_delta: 0.0 })).stopped_early(), None);
    }
}
