//! Candidates that may win are trained on for a while from the weights that they inherited: their accuracy then says more
//! about what training from scratch would give.

use mobilenas_record::pareto::dominates;
use mobilenas_record::run::{Finetuned, JournalRow, Origin, Trial};

use super::finalists::{Scored, undercuts};
use super::retraining::{Inherited, Job};
use super::{RunError, SearchPipeline, trials};
use crate::experiment::retrain_seed;

impl SearchPipeline<'_> {
    /// Fine-tunes the candidates that may win, and the variants, those that are not yet. False if the run was asked to stop.
    pub(super) fn finetune(&mut self) -> Result<bool, RunError> {
        let (p, root) = (self.experiment(), self.folder.root().to_path_buf());
        let Some(how) = p.config.search.finetune.as_ref().filter(|_| !self.is_done()) else { return Ok(true) };
        let job = |trial: &Trial| {
            let own = self.experiment_of(trial)?;
            let inherited = Some(Inherited { supernet: own.supernet_file(), steps: Some(how.steps), lr: how.lr });
            let space = self.position(trial)?;
            let job = Job {
                space,
                label: format!("trial {}, {} steps from its inherited weights", trial.id, how.steps),
                name: format!("training/finetuned-{}", trial.id),
                weights: None,
                digest: format!("{}-{}-finetuned", p.digest, trial.digest),
                genome: trial.genome.clone(),
                epochs: 0.0,
                seed: retrain_seed(p.config.seed),
                threads: p.config.retrain_threads(),
                inherited,
                validation: true,
            };
            Ok::<Job, RunError>(job)
        };
        let done = |t: &Trial| self.finetuned(t).is_some();
        let (over, left): (Vec<Trial>, Vec<Trial>) = self.near(how.candidates).into_iter().partition(done);
        over.iter().try_for_each(|trial| job(trial).map(|job| job.clean_up(&root)))?;
        let jobs = left.iter().map(job).collect::<Result<Vec<Job>, _>>()?;
        self.retraining(root).run(&jobs, |i, outcome| {
            self.left_out(&jobs[i].label, outcome.skipped, outcome.steps)?;
            self.folder.append(JournalRow::Finetuned(Finetuned {
                trial: left[i].id,
                steps: outcome.steps,
                metrics: outcome.metrics,
                seconds: outcome.seconds,
            }))
        })
    }

    /// What fine-tuning gave for a trial.
    fn finetuned(&self, trial: &Trial) -> Option<&Finetuned> {
        self.folder.rows.iter().find_map(|r| match r {
            JournalRow::Finetuned(f) if f.trial == trial.id => Some(f),
            _ => None,
        })
    }

    /// Scored trials as they are known best, with the objectives, larger better: with accuracies after fine-tuning, and
    /// then those alone that were fine-tuned, if the config asks for it.
    pub(super) fn known_best(&self) -> Vec<(Trial, Vec<f64>)> {
        let search = &self.experiment().config.search;
        let one = |mut t: Trial| {
            if search.finetune.is_some() {
                let tuned = self.finetuned(&t)?.clone();
                tuned.apply(&mut t);
            }
            trials::scores(&t, &search.objectives).map(|s| (t, s))
        };
        self.as_timed().filter_map(one).collect()
    }

    /// So many found networks, and the variants that they may stand against.
    fn near(&self, candidates: usize) -> Vec<Trial> {
        let objectives = &self.experiment().config.search.objectives;
        let scored = |t: Trial| trials::scores(&t, objectives).map(|s| (t, s));
        let all: Vec<(Trial, Vec<f64>)> = self.as_timed().filter_map(scored).collect();
        let (found, variants): (Vec<_>, Vec<_>) = all.into_iter().partition(|(t, _)| t.origin == Origin::Search);
        let variants = if self.experiment().config.retrain.variants { variants } else { Vec::new() };
        let of = |all: &[(Trial, Vec<f64>)]| all.iter().map(|(t, s)| (t.id, s.clone())).collect::<Vec<Scored>>();
        let order = in_turn(&of(&found), &of(&variants));
        let near = order.into_iter().take(candidates);
        let near = near.filter_map(|id| found.iter().find(|(t, _)| t.id == id).map(|(t, _)| t.clone()));
        near.chain(variants.iter().map(|(t, _)| t.clone())).collect()
    }
}

/// All found networks, taken in turn from one list for each variant, of those that undercut it, best in the first objective
/// first, and from the layers of the front. So there are candidates for every variant, not for the largest alone.
fn in_turn(found: &[Scored], variants: &[Scored]) -> Vec<u64> {
    let mut best: Vec<&Scored> = found.iter().collect();
    best.sort_by(|a, b| b.1[0].total_cmp(&a.1[0]).then(a.0.cmp(&b.0)));
    let below = |v: &Scored| best.iter().filter(|f| undercuts(f, v)).map(|f| f.0).collect::<Vec<u64>>();
    let mut lists: Vec<_> = variants.iter().map(below).chain([layers(found)]).map(Vec::into_iter).collect();
    let mut out = Vec::with_capacity(found.len());
    while out.len() < found.len() {
        for list in &mut lists {
            let next = list.find(|id| !out.contains(id));
            out.extend(next);
        }
    }
    out
}

/// The trials of the front, then of what would be the front without them, and so on; within one, the best in the first
/// objective first.
fn layers(all: &[Scored]) -> Vec<u64> {
    let (mut left, mut out) = (all.to_vec(), Vec::new());
    while !left.is_empty() {
        let beaten = |one: &Scored| left.iter().any(|other| dominates(&other.1, &one.1));
        let (rest, mut front): (Vec<Scored>, Vec<Scored>) = left.clone().into_iter().partition(beaten);
        front.sort_by(|a, b| b.1[0].total_cmp(&a.1[0]).then(a.0.cmp(&b.0)));
        out.extend(front.iter().map(|one| one.0));
        left = rest;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_has_candidates() {
        let of = |all: &[(u64, f64, f64)]| -> Vec<Scored> {
            all.iter().map(|(id, top1, macs)| (*id, vec![*top1, -*macs])).collect()
        };
        let found =
            of(&[(1, 90.0, 9.0), (2, 89.0, 8.0), (3, 88.0, 7.0), (4, 70.0, 2.0), (5, 60.0, 1.0), (6, 87.0, 30.0)]);
        // The small variant's best, the large one's, the front's, and again.
        assert_eq!(in_turn(&found, &of(&[(10, 65.0, 2.5), (11, 88.0, 8.5)])), [4, 2, 1, 5, 3, 6]);
        assert_eq!(in_turn(&found, &[]), layers(&found));
        assert_eq!(in_turn(&found, &of(&[(10, 50.0, 0.5)])), layers(&found), "nothing undercuts it");
    }

    #[test]
    fn layers_follow_each_other() {
        let all = [(1, 90.0, 3.0), (2, 80.0, 1.0), (3, 89.0, 4.0), (4, 79.0, 1.0), (5, 70.0, 9.0)];
        let all: Vec<Scored> = all.iter().map(|(id, top1, macs)| (*id, vec![*top1, -*macs])).collect();
        assert_eq!(layers(&all), [1, 2, 3, 4, 5]);
        assert_eq!(layers(&[]), Vec::<u64>::new());
        // Equal networks are in one layer.
        assert_eq!(layers(&[(7, vec![1.0, 1.0]), (6, vec![1.0, 1.0])]), [6, 7]);
    }
}
