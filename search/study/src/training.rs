//! Trainings of a study.

use std::path::PathBuf;

use mobilenas_reports::study::{Condition, InheritedScore, NetworkOrigin, StudyNetwork, StudyRow, TrainedNetwork};

use crate::Study;
use crate::plan::StudyInterrupt;
use mobilenas_pipeline::experiment::retrain_seed;
use mobilenas_pipeline::pipeline::RunError;
use mobilenas_pipeline::pipeline::retraining::{Inherited, Job, Outcome, Retraining};
use mobilenas_pipeline::worker::Kind;

/// A network to train from scratch, for how many epochs, and the seed.
type Wanted = (StudyNetwork, f64, u64);

impl<'a> Study<'a> {
    /// Trains networks from scratch and scores them on the test split, those that are not done.
    pub(super) fn retrain(&mut self, wanted: impl Iterator<Item = Wanted>) -> Result<(), StudyInterrupt> {
        let root = self.folder.root().to_path_buf();
        let done = |(n, _, seed): &Wanted| {
            self.folder.rows.iter().any(|r| matches!(r, StudyRow::Retrained(r) if r.network == n.id && r.seed == *seed))
        };
        let (over, left): (Vec<Wanted>, Vec<Wanted>) = wanted.partition(done);
        // Of a study that was killed right after it wrote the row.
        for one in &over {
            self.job(one)?.clean_up(&root);
        }
        let jobs = left.iter().map(|one| self.job(one)).collect::<Result<Vec<Job>, RunError>>()?;
        let all = self.retraining(root).run(&jobs, |i, outcome| self.trained(&left[i], outcome))?;
        if all { Ok(()) } else { Err(StudyInterrupt::Stopped) }
    }

    /// Fine-tunes the drawn networks from their inherited weights, those that are not done.
    pub(super) fn finetune_drawn(&mut self) -> Result<(), StudyInterrupt> {
        let study = &self.plan.config.study;
        let mut wanted: Vec<(StudyNetwork, Condition, Job)> = Vec::new();
        for (rule, by) in study.rules.iter().enumerate() {
            for how in &study.finetune {
                let rule_name = by.rule.name();
                for network in self.networks(NetworkOrigin::Drawn) {
                    let space = self.position(&network)?;
                    let condition =
                        Condition { rule: rule_name.to_string(), recalibrated: true, finetune_steps: how.steps };
                    let inherited = Some(Inherited {
                        supernet: self.supernet_file(rule, space),
                        steps: Some(how.steps),
                        lr: how.lr,
                    });
                    let training = self.job(&(network.clone(), 0.0, self.plan.experiment().config.seed))?;
                    let job = Job {
                        label: format!("{}, {condition}", network.name),
                        name: format!("training/{}-{rule_name}-{}", network.id, how.steps),
                        digest: format!("{}-{rule_name}-{}", training.digest, how.steps),
                        inherited,
                        validation: true,
                        ..training
                    };
                    wanted.push((network, condition, job));
                }
            }
        }
        let root = self.folder.root().to_path_buf();
        let done = |(n, condition, _): &(StudyNetwork, Condition, Job)| {
            self.folder
                .rows
                .iter()
                .any(|r| matches!(r, StudyRow::Inherited(i) if i.network == n.id && i.condition == *condition))
        };
        let (over, left): (Vec<_>, Vec<_>) = wanted.into_iter().partition(done);
        over.iter().for_each(|(_, _, job)| job.clean_up(&root));
        let jobs: Vec<Job> = left.iter().map(|(_, _, job)| job.clone()).collect();
        let all = self.retraining(root).run(&jobs, |i, outcome| {
            let (network, condition, _) = &left[i];
            self.folder.append(StudyRow::Inherited(InheritedScore {
                network: network.id,
                condition: condition.clone(),
                seconds: Some(outcome.seconds),
                metrics: outcome.metrics,
            }))
        })?;
        if all { Ok(()) } else { Err(StudyInterrupt::Stopped) }
    }

    fn retraining(&self, root: PathBuf) -> Retraining<'a> {
        Retraining {
            experiments: self.plan.experiments.all(),
            root,
            workers: self.plan.config.study.workers,
            kind: Kind::TrainsOfStudy,
            clock: self.clock,
            stop: self.stop,
            collective: self.collective,
            progress: self.progress,
        }
    }

    fn job(&self, (network, epochs, seed): &Wanted) -> Result<Job, RunError> {
        Ok(Job {
            space: self.position(network)?,
            label: format!("{}, seed {seed}", network.name),
            name: format!("training/{}-{seed}", network.id),
            weights: None,
            digest: format!("{}-{}-{seed}", self.plan.digest, network.digest),
            genome: network.genome.clone(),
            epochs: *epochs,
            // The very stream that a search with this seed gives its winners.
            seed: retrain_seed(*seed),
            threads: self.plan.config.threads(),
            inherited: None,
            validation: false,
        })
    }

    /// Writes the row of a training.
    fn trained(&mut self, (network, epochs, seed): &Wanted, outcome: Outcome) -> Result<(), RunError> {
        let Outcome { metrics, seconds, steps, skipped } = outcome;
        if skipped > 0 {
            let name = &network.name;
            self.caveat(format!(
                "Training {name} with seed {seed} left out {skipped} of {steps} steps that were not finite."
            ))?;
        }
        let row = TrainedNetwork { network: network.id, seed: *seed, epochs: *epochs, metrics, seconds };
        self.folder.append(StudyRow::Retrained(row))
    }
}
