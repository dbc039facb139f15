//! Landmarks: a few candidates are trained as winners are and scored as candidates are. A regression on them predicts what
//! such a training would give the others, since a supernet favours networks of some sizes.

use std::collections::HashMap;

use mobilenas_record::metric::name as metric;
use mobilenas_record::run::{JournalRow, Landmark, Trial, TrialOutcome};

use super::retraining::Job;
use super::{RunError, SearchPipeline};
use crate::experiment::retrain_seed;

impl SearchPipeline<'_> {
    /// Trains landmarks, those that are not yet. False if the run was asked to stop.
    pub(super) fn train_landmarks(&mut self) -> Result<bool, RunError> {
        let (p, root) = (self.experiment(), self.folder.root().to_path_buf());
        if p.config.search.landmarks == 0 || self.is_done() {
            return Ok(true);
        }
        let job = |trial: &Trial, space: usize| Job {
            space,
            label: format!("landmark, trial {}", trial.id),
            name: format!("training/landmark-{}", trial.id),
            weights: None,
            digest: format!("{}-{}-landmark", p.digest, trial.digest),
            genome: trial.genome.clone(),
            epochs: p.config.retrain.recipe.epochs,
            seed: retrain_seed(p.config.seed),
            threads: p.config.retrain_threads(),
            inherited: self.retrained_from(&self.experiments.all()[space]),
            validation: true,
        };
        let known = self.known_best();
        let (spaces, mut wanted) = (self.experiments.all().len(), Vec::new());
        for space in 0..spaces {
            let mut own = Vec::new();
            for (trial, scores) in &known {
                if self.position(trial)? == space {
                    own.extend(Sized::of(trial, scores));
                }
            }
            // As many of each space; the first ones have what is left over.
            let n = (p.config.search.landmarks + spaces - 1 - space) / spaces;
            wanted.extend(spread(&own, n).into_iter().map(|one| (*one, space)));
        }
        let there = self.trained_landmarks();
        let (over, left): (Vec<_>, Vec<_>) =
            wanted.into_iter().partition(|(one, _)| there.iter().any(|l| l.trial == one.trial));
        let trial =
            |(one, space): &(Sized, usize)| known.iter().find(|(t, _)| t.id == one.trial).map(|(t, _)| job(t, *space));
        // Of a run that was killed right after it wrote the row.
        over.iter().filter_map(trial).for_each(|job| job.clean_up(&root));
        let jobs: Vec<Job> = left.iter().filter_map(trial).collect();
        let first = self.first_objective();
        self.retraining(root).run(&jobs, |i, outcome| {
            let (one, _) = left[i];
            self.left_out(&jobs[i].label, outcome.skipped, outcome.steps)?;
            self.folder.append(JournalRow::Landmark(Landmark {
                trial: one.trial,
                score: one.score,
                macs: one.macs,
                params: one.params,
                trained: outcome.metrics.get(&first).copied().unwrap_or(f64::NAN),
                epochs: jobs[i].epochs,
                seconds: outcome.seconds,
                inherited: jobs[i].inherited.is_some(),
            }))
        })
    }

    /// Scored trials with the first objective as the landmarks of their space correct it, where there are enough.
    pub(super) fn corrected(&self, mut known: Vec<(Trial, Vec<f64>)>) -> Vec<(Trial, Vec<f64>)> {
        let (landmarks, spaces) = (self.trained_landmarks(), known.iter().map(|(t, _)| (t.id, t.space.clone())));
        let spaces: HashMap<u64, Option<String>> = spaces.collect();
        for p in self.experiments.all() {
            let own = |id: &u64| spaces.get(id).is_some_and(|space| *space == p.entry.name);
            let of_space: Vec<Landmark> = landmarks.iter().filter(|l| own(&l.trial)).cloned().collect();
            let Some(correction) = Landmark::correction(&of_space) else { continue };
            for (trial, scores) in known.iter_mut().filter(|(t, _)| t.space == p.entry.name) {
                if let Some(one) = Sized::of(trial, scores) {
                    scores[0] = correction.predict(&Landmark::features(one.score, one.macs, one.params));
                }
            }
        }
        known
    }

    fn trained_landmarks(&self) -> Vec<Landmark> {
        let of = |r: &JournalRow| match r {
            JournalRow::Landmark(l) => Some(l.clone()),
            _ => None,
        };
        self.folder.rows.iter().filter_map(of).collect()
    }

    fn first_objective(&self) -> String {
        self.experiment().config.search.objectives.first().map(|o| o.metric.clone()).unwrap_or_default()
    }
}

/// A scored trial: its first objective, MACs and parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sized {
    trial: u64,
    score: f64,
    macs: f64,
    params: f64,
}

impl Sized {
    fn of(trial: &Trial, scores: &[f64]) -> Option<Sized> {
        let TrialOutcome::Scored(metrics) = &trial.outcome else { return None };
        let (macs, params) = (*metrics.get(metric::MACS)?, *metrics.get(metric::PARAMS)?);
        Some(Sized { trial: trial.id, score: *scores.first()?, macs, params })
    }
}

/// So many networks, from parts of the range of log MACs of equal width in turn: the best of each, then the one in the middle
/// of each, then the worst, then the best of those that are left, and so on. So both size and score vary.
fn spread(all: &[Sized], n: usize) -> Vec<&Sized> {
    let logs: Vec<f64> = all.iter().map(|one| one.macs.ln()).collect();
    let (low, high) = logs.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    let strata = n.div_ceil(3).max(1);
    let place = |log: f64| (((log - low) / (high - low).max(1e-12) * strata as f64) as usize).min(strata - 1);
    let mut parts: Vec<Vec<&Sized>> = vec![Vec::new(); strata];
    all.iter().zip(&logs).for_each(|(one, log)| parts[place(*log)].push(one));
    for part in &mut parts {
        part.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.trial.cmp(&b.trial)));
    }
    let (mut out, mut turn) = (Vec::new(), 0);
    while out.len() < n.min(all.len()) {
        for part in &mut parts {
            if out.len() < n && !part.is_empty() {
                let last = part.len() - 1;
                out.push(part.remove([0, last / 2, last][turn % 3]));
            }
        }
        turn += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(n: u64) -> Vec<Sized> {
        let one = |i: u64| Sized { trial: i, score: (i * 7 % 10) as f64, macs: (1 + i) as f64, params: 5.0 };
        (0..n).map(one).collect()
    }

    #[test]
    fn landmarks_differ_in_size_and_in_score() {
        let all = some(16);
        let found = spread(&all, 6);
        let ids: Vec<u64> = found.iter().map(|one| one.trial).collect();
        // Below and above 4 MACs: best, middle, worst of each.
        assert_eq!(ids, [1, 7, 2, 15, 0, 10]);
        assert_eq!(spread(&all, 99).len(), 16);
        assert_eq!(spread(&all, 1).len(), 1);
        assert!(spread(&[], 3).is_empty());
    }

    #[test]
    fn networks_of_one_size_are_one_part() {
        let all: Vec<Sized> = some(4).into_iter().map(|one| Sized { macs: 3.0, ..one }).collect();
        assert_eq!(spread(&all, 4).len(), 4);
    }
}
