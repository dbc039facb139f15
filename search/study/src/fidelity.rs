//! Rank fidelity: networks drawn over the space, their top-1 with inherited weights, and after a training of their own.

use std::ops::Range;
use std::sync::Arc;

use mobilenas_reports::study::{Condition, InheritedScore, NetworkOrigin, StudyNetwork, StudyRow};
use mobilenas_space::{Genome, cost, memory};

use crate::plan::StudyInterrupt;
use crate::{Study, sample};
use mobilenas_pipeline::evaluator::Evaluator as _;
use mobilenas_pipeline::pipeline::RunError;
use mobilenas_pipeline::pipeline::retraining::by_name as named;

impl Study<'_> {
    /// The row of a network that has no row yet.
    pub(super) fn network(
        &self,
        name: String,
        origin: NetworkOrigin,
        genome: &Genome,
    ) -> Result<StudyNetwork, RunError> {
        let space = &self.plan.experiment.space;
        let graph = space.lower(genome)?;
        let (cost, known) =
            (cost::graph(&graph), self.folder.rows.iter().filter(|r| matches!(r, StudyRow::Network(_))));
        Ok(StudyNetwork {
            id: known.count() as u64,
            name,
            origin,
            genome: space.values(genome),
            digest: graph.digest(),
            params: cost.params,
            macs: cost.macs,
            memory: Some(memory(&graph).bytes()),
            latency: None,
        })
    }

    /// The drawn networks and their top-1 with inherited weights, under each rule, recalibrated or not.
    pub(super) fn inherited(&mut self) -> Result<(), StudyInterrupt> {
        let (p, study) = (&self.plan.experiment, &self.plan.config.study);
        if study.subnets == 0 {
            return Ok(());
        }
        let genomes = sample::spread(p, study.subnets)?;
        for (i, genome) in genomes.iter().enumerate().skip(self.networks(NetworkOrigin::Drawn).len()) {
            let row = self.network(format!("drawn {}", i + 1), NetworkOrigin::Drawn, genome)?;
            self.folder.append(StudyRow::Network(row))?;
        }
        if genomes.len() < study.subnets {
            self.caveat(format!("The space gave no more than {} different networks to draw.", genomes.len()))?;
        }
        let networks = self.networks(NetworkOrigin::Drawn);
        let bar = (self.progress)("inherited");
        let (total, mut at) = (2 * networks.len() * study.rules.len(), 0);
        bar.begin(total as u64, 0);
        for (i, by) in study.rules.iter().enumerate() {
            let mut lab = None;
            for recalibrated in [true, false] {
                let condition = Condition { rule: by.rule.name().to_string(), recalibrated, finetune_steps: 0 };
                for network in &networks {
                    at += 1;
                    let is = |r: &StudyRow| matches!(r, StudyRow::Inherited(i) if i.network == network.id && i.condition == condition);
                    if self.folder.rows.iter().any(is) {
                        continue;
                    }
                    if self.stop.asked() {
                        return Err(StudyInterrupt::Stopped);
                    }
                    let lab = match &mut lab {
                        Some(lab) => lab,
                        none => none.insert(self.inheriting(i)?),
                    };
                    lab.recalibrated = recalibrated;
                    let values = lab.trained(&Arc::new(p.space.lower(&self.genome(network)?)?))?;
                    let metrics = named(p.task, &values);
                    self.folder.append(StudyRow::Inherited(InheritedScore {
                        network: network.id,
                        condition: condition.clone(),
                        seconds: None,
                        metrics,
                    }))?;
                    bar.at(at as u64, &format!("{condition}: {:.1} {}", values[0], p.task.metrics()[0].unit));
                }
            }
        }
        bar.done();
        Ok(())
    }

    /// Trains the drawn networks, each by itself, with some of their seeds: all networks with one before any with the next.
    pub(super) fn retrain_drawn(&mut self, seeds: Range<u64>) -> Result<(), StudyInterrupt> {
        let c = &self.plan.experiment.config;
        let study = &self.plan.config.study;
        let (epochs, drawn) =
            (study.subnet_epochs.unwrap_or(c.retrain.recipe.epochs), self.networks(NetworkOrigin::Drawn));
        let seeds = seeds.map(|k| c.seed + k);
        self.retrain(seeds.flat_map(|seed| drawn.clone().into_iter().map(move |n| (n, epochs, seed))))
    }
}
